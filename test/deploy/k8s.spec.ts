import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { MODEL_KEYS } from '@yuxi/embedding';
import { readEnv } from '../../libs/platform/src/config/env.js';
import { reportSkip } from '@yuxi/testing';
import {
  base,
  containersOf,
  load,
  type Manifest,
  PLAIN_FILES,
  render,
  type Selector,
  selects,
  workloads,
} from './manifests.js';
import { unresolved } from './references.js';

const NAMESPACE = 'yuxi-know';
/** What an operator makes, or the Job of Redis: see k8s/README.md. */
const BY_OPERATOR = ['Secret yuxi-know-secrets'];
/** What each namespace has by itself. */
const BY_CLUSTER = ['ConfigMap kube-root-ca.crt'];

const byFile = PLAIN_FILES.map((file): [string, Manifest[]] => [file, load(file)]);
const [inBase, inProduction] = [render('k8s'), render('k8s-production')];
const whole: [string, Manifest[]][] = [
  ['k8s', base()],
  ...(inProduction ? [['k8s-production', inProduction] as [string, Manifest[]]] : []),
];
const find = (manifests: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
};
const idOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.namespace ?? '-'}/${metadata.name}`;

it('kustomize makes of k8s what its files say, with their names', () => {
  if (!inBase) return reportSkip('k8s manifests', 'kubectl 1.24 is needed; Debian 12 has 1.20');
  const sorted = (manifests: Manifest[]) => manifests.toSorted((a, b) => idOf(a).localeCompare(idOf(b)));
  expect(sorted(inBase)).toEqual(sorted(base()));
  expect(inProduction!.map(idOf).sort()).toEqual(base().map(idOf).sort());
});

describe('k8s/redis-deployment.yaml, typed alone', () => {
  const manifests = load('k8s/redis-deployment.yaml');

  it('begins with the namespace, and has everything that its pods wait for', () => {
    expect(idOf(manifests[0]!)).toBe('Namespace -/yuxi-know');
    expect(unresolved(manifests, BY_CLUSTER)).toEqual(BY_OPERATOR);
  });

  it('control: finds a pod that waits for a ConfigMap or a Secret that no manifest makes', () => {
    const without = manifests.filter(({ metadata }) => metadata.name !== 'yuxi-know-redis');
    expect(unresolved(without, BY_CLUSTER)).toEqual(['ConfigMap yuxi-know-redis', ...BY_OPERATOR]);
  });

  it('makes the one Secret it needs, with rights on no other', () => {
    const job = workloads(manifests).find(({ kind }) => kind === 'Job')!;
    const { rules } = find(manifests, 'Role', job.pod.serviceAccountName!) as unknown as { rules: object[] };
    expect(rules).toEqual([
      { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['yuxi-know-secrets'], verbs: ['get', 'patch'] },
    ]);
  });

  it('limits the data to less than half of the memory of the container', () => {
    const conf = find(manifests, 'ConfigMap', 'yuxi-know-redis').data!['redis.conf']!;
    const [redis] = workloads(manifests).find(({ name }) => name === 'redis')!.pod.containers;
    expect(Number(/^maxmemory (\d+)mb$/m.exec(conf)![1]) * 2).toBeLessThan(
      Number(/^(\d+)Mi$/.exec(redis!.resources!.limits!['memory']!)![1]),
    );
  });
});

describe.each(byFile)('%s', (_file, manifests) => {
  it('names the namespace in every object, so that it can be typed alone', () => {
    for (const { kind, metadata } of manifests)
      expect({ kind, ...metadata }).toMatchObject(
        kind === 'Namespace' ? { name: NAMESPACE } : { namespace: NAMESPACE },
      );
  });
});

describe.each(whole)('%s', (_folder, manifests) => {
  const running = workloads(manifests);
  const containers = running.flatMap(({ pod }) => containersOf(pod));
  const some = (selector: Selector) => running.filter(({ labels }) => selects(selector, labels));
  const named = (name: string) => containers.find((container) => container.name === name)!;
  const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy').map(({ spec }) => spec!);

  it('has the names that operators know', () => {
    for (const [kind, name] of [
      ['Namespace', 'yuxi-know'],
      ['Service', 'redis-service'],
      ['ConfigMap', 'yuxi-know-config'],
      ['Deployment', 'yuxi-api'],
      ['Deployment', 'yuxi-worker'],
    ] as const)
      expect(find(manifests, kind, name)).toBeDefined();
    expect(find(manifests, 'Deployment', 'yuxi-api').spec!.replicas).toBe(3);
    expect(JSON.stringify(running)).toContain('yuxi-know-secrets');
  });

  it('has every object that another one names, but for the Secret that an operator makes', () => {
    expect(unresolved(manifests, BY_CLUSTER)).toEqual(BY_OPERATOR);
  });

  it.each(['api', 'worker'] as const)('gives the %s an environment that it starts with', (app) => {
    const { command: _command, env = [], envFrom = [] } = named(app);
    const data = find(manifests, 'ConfigMap', envFrom[0]!.configMapRef!.name).data!;
    const variables = Object.fromEntries(env.map(({ name, value }) => [name, value!]));
    const secrets = Object.keys(variables).filter((name) => name.endsWith('_FILE'));
    for (const name of secrets) expect(variables[name]).toBe(`/run/secrets/yuxi/${name.replace(/_FILE$/, '')}`);
    const given = Object.fromEntries(
      secrets.map((name) => {
        delete variables[name];
        return [
          name.replace(/_FILE$/, ''),
          name.startsWith('DATABASE') ? 'postgres://u:p@db/yuxi' : 'k'.repeat(3) + name.repeat(3),
        ];
      }),
    );
    const mounts = named(app).volumeMounts!.map(({ mountPath }) => mountPath);
    expect(mounts).toEqual(expect.arrayContaining(['/run/secrets/yuxi', MODEL_KEYS.folder]));
    const { env: read, warnings } = readEnv({ ...data, ...variables, ...given }, app);
    expect(warnings).toEqual([]);
    const { ports = [] } = named(app);
    expect(ports.map(({ name, containerPort }) => [name, containerPort])).toEqual([
      ['http', read.PORT],
      ['metrics', read.METRICS_PORT],
    ]);
    expect(read.NODE_ENV).toBe('production');
    expect(read.redis).toMatchObject({ host: 'redis-service' });
    // Without it every client has the address of the ingress: one of them could lock all others out.
    expect(read.TRUSTED_PROXIES.length).toBeGreaterThan(0);
    expect(read.YUXI_REPLICAS).toBe(find(manifests, 'Deployment', 'yuxi-api').spec!.replicas);
    const { terminationGracePeriodSeconds } = running.find(({ pod }) => pod.containers[0]!.name === app)!.pod;
    expect(terminationGracePeriodSeconds! * 1000).toBeGreaterThanOrEqual(read.YUXI_SHUTDOWN_TIMEOUT + 10_000);
  });

  it('runs tasks in the workers only', () => {
    expect(named('api').env).toContainEqual({ name: 'YUXI_WORKER', value: 'off' });
    expect(named('worker').command!.join(' ')).toContain('apps/worker/');
  });

  it.each(['api', 'worker'])('has separate probes for startup, liveness and readiness of the %s', (name) => {
    const { startupProbe, livenessProbe, readinessProbe } = named(name);
    expect([startupProbe, livenessProbe, readinessProbe].map((probe) => probe?.httpGet)).toEqual([
      { path: '/health/startup', port: 'http' },
      { path: '/health/live', port: 'http' },
      { path: '/health/ready', port: 'http' },
    ]);
  });

  it('probes everything that runs on', () => {
    for (const { kind, pod } of running)
      for (const { startupProbe, livenessProbe, readinessProbe } of kind === 'Job' ? [] : pod.containers) {
        expect([startupProbe, livenessProbe, readinessProbe]).not.toContain(undefined);
        expect(livenessProbe).not.toEqual(readinessProbe);
      }
  });

  it('keeps secrets out of command lines, environments and ConfigMaps', () => {
    for (const { command = [], args = [], env = [] } of containers) {
      expect([...command, ...args].join(' ')).not.toMatch(/--requirepass|--pass|redis-cli.* -a |\$\(?\w*PASSWORD/);
      for (const { name, value, valueFrom } of env) {
        expect(valueFrom).toBeUndefined();
        if (/PASSWORD|SECRET|TOKEN|DATABASE_URL/.test(name))
          expect({ name, value }).toMatchObject({ name: expect.stringMatching(/_FILE$/) });
      }
    }
    expect(manifests.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    for (const { data } of manifests.filter(({ kind }) => kind === 'ConfigMap'))
      expect(JSON.stringify(data)).not.toMatch(/requirepass|:\/\/[^/]*:[^/]*@|JWT_SECRET/);
  });

  it('denies everything first, and lets every pod ask DNS', () => {
    const forAll = policies.filter(({ podSelector }) => Object.keys(podSelector ?? {}).length === 0);
    expect(forAll).toContainEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    expect(forAll.flatMap(({ egress = [] }) => egress)).toEqual([
      {
        ports: [
          { protocol: 'UDP', port: 53 },
          { protocol: 'TCP', port: 53 },
        ],
      },
    ]);
  });

  it.each(running.map(({ kind, name, labels }) => [`${kind} ${name}`, labels] as const))(
    'opens the ports that %s needs',
    (id, labels) => {
      const chosen = policies.filter(({ podSelector }) => selects(podSelector ?? {}, labels));
      const ports = (direction: 'ingress' | 'egress') =>
        chosen.flatMap((policy) =>
          (policy[direction] ?? []).flatMap((rule) => (rule.ports ?? []).map(({ port }) => port)),
        );
      const needed: Record<string, { ingress: number[]; egress: number[] }> = {
        'Deployment yuxi-api': { ingress: [5050, 9464], egress: [53, 5432, 6379, 443] },
        'Deployment yuxi-worker': { ingress: [9465], egress: [53, 5432, 6379, 443] },
        'StatefulSet redis': { ingress: [6379], egress: [53] },
        'Job redis-password': { ingress: [], egress: [53, 443, 6443] },
      };
      expect(ports('ingress')).toEqual(expect.arrayContaining(needed[id]!.ingress));
      expect(ports('egress')).toEqual(expect.arrayContaining(needed[id]!.egress));
    },
  );

  it('has no ingress rule without a source', () => {
    const rules = policies.flatMap(({ ingress = [] }) => ingress);
    expect(rules.length).toBeGreaterThan(0);
    for (const { from = [] } of rules) expect(from.length).toBeGreaterThan(0);
  });

  it.each(containers.map((container) => [container.name, container] as const))('hardens %s', (_name, container) => {
    expect(container.image).toMatch(/:\d[\w.-]*$/);
    // There is no CPU limit on purpose: it slows down a process while the node is idle.
    expect(container.resources).toMatchObject({
      requests: { cpu: expect.any(String), memory: expect.stringMatching(/^\d+[MG]i$/) },
      limits: { memory: expect.stringMatching(/^\d+[MG]i$/) },
    });
    expect(container.securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  it('runs everything as a user other than root and without the token that each pod gets', () => {
    for (const { pod } of running) {
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(pod.securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: expect.any(Number),
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(pod.securityContext!['runAsUser']).not.toBe(0);
      for (const { emptyDir } of pod.volumes ?? []) if (emptyDir) expect(emptyDir.sizeLimit).toBeDefined();
    }
  });

  it('selects the pods it means to', () => {
    for (const { kind, spec } of manifests) {
      if (kind === 'PodDisruptionBudget') expect(some(spec!.selector!)).toHaveLength(1);
      if (kind === 'Service') expect(some({ matchLabels: spec!.selector as Record<string, string> })).toHaveLength(1);
      if (kind === 'NetworkPolicy') expect(some(spec!.podSelector!).length).toBeGreaterThan(0);
      if (kind === 'Deployment' || kind === 'StatefulSet') expect(some(spec!.selector!)).toHaveLength(1);
    }
    for (const { labels, pod } of running)
      for (const { labelSelector } of pod.topologySpreadConstraints ?? [])
        expect(selects(labelSelector, labels)).toBe(true);
  });

  it('lets a drained node take one replica at a time', () => {
    for (const { kind, labels } of running.filter((workload) => workload.kind === 'Deployment')) {
      const budgets = manifests.filter((each) => each.kind === 'PodDisruptionBudget');
      expect({ kind, count: budgets.filter(({ spec }) => selects(spec!.selector!, labels)).length }).toEqual({
        kind,
        count: 1,
      });
    }
  });
});

describe('Dockerfile', () => {
  const lines = readFileSync('Dockerfile', 'utf8').split('\n');

  it('takes its base image from an argument, ends as a number other than root and starts in exec form', () => {
    expect(lines.some((line) => /^ARG NODE_IMAGE=\S+:\d/.test(line))).toBe(true);
    expect(lines.filter((line) => line.startsWith('FROM')).every((line) => line.includes('${NODE_IMAGE}'))).toBe(true);
    expect(lines.findLast((line) => line.startsWith('USER'))).toMatch(/^USER [1-9]\d+$/);
    expect(lines.findLast((line) => line.startsWith('CMD'))).toMatch(/^CMD \[/);
    expect(lines.some((line) => line.startsWith('ADD '))).toBe(false);
  });
});
