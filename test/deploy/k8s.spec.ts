import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { reportSkip } from '@yuxi/testing';
import { type Container, type Manifest, type PodSpec, render } from './manifests.js';

const rendered = ['k8s', 'k8s-production'].map((folder) => [folder, render(folder)] as const);
const present = rendered.filter((pair): pair is [string, Manifest[]] => pair[1] !== undefined);

if (present.length === 0) {
  it('is checked by rendering', () => {
    reportSkip('k8s manifests', 'kubectl is not installed');
    expect(existsSync('k8s/kustomization.yaml')).toBe(true);
  });
} else {
  describe.each(present)('%s', (_folder, manifests) => {
    const pods = manifests.flatMap(({ spec }): PodSpec[] => (spec?.template ? [spec.template.spec] : []));
    const containers = pods.flatMap((pod) => pod.containers);
    const api = containers.find(({ name }) => name === 'api')!;
    const redis = containers.find(({ name }) => name === 'redis')!;
    const find = (kind: string, name: string) =>
      manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);

    it('has the names that operators know', () => {
      expect(find('Namespace', 'yuxi-know')).toBeDefined();
      expect(find('Service', 'redis-service')).toBeDefined();
      expect(find('Deployment', 'yuxi-api')?.spec?.replicas).toBe(3);
      expect(JSON.stringify(manifests)).toContain('yuxi-know-secrets');
      expect(
        manifests.some(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('yuxi-know-config')),
      ).toBe(true);
    });

    it('tells startup, liveness and readiness apart', () => {
      expect([api.startupProbe, api.livenessProbe, api.readinessProbe].map((probe) => probe?.httpGet?.path)).toEqual([
        '/health/startup',
        '/health/live',
        '/health/ready',
      ]);
    });

    it('probes Redis so that a wrong password fails', () => {
      for (const probe of [redis.startupProbe, redis.readinessProbe]) {
        const command = probe!.exec!.command.join(' ');
        expect(command).toMatch(/redis-cli -e ping \| grep -q PONG/);
        // Kubernetes does not expand variables that come from a secret inside an exec probe.
        expect(command).not.toMatch(/\$\(REDIS_PASSWORD\)|--pass|-a /);
      }
    });

    it('keeps secrets out of command lines, environments and ConfigMaps', () => {
      for (const { command = [], args = [], env = [] } of containers) {
        expect([...command, ...args].join(' ')).not.toMatch(/--requirepass|\$\(?\w*PASSWORD/);
        for (const { name, value, valueFrom } of env) {
          expect(valueFrom).toBeUndefined();
          if (/PASSWORD|SECRET|TOKEN|DATABASE_URL/.test(name))
            expect({ name, value }).toMatchObject({ name: expect.stringMatching(/_FILE$/) });
        }
      }
      expect(manifests.filter(({ kind }) => kind === 'Secret')).toEqual([]);
      for (const { data } of manifests.filter(({ kind }) => kind === 'ConfigMap'))
        expect(JSON.stringify(data)).not.toMatch(/PASSWORD|:\/\/[^/]*:[^/]*@|JWT_SECRET/);
    });

    it('lets every pod ask DNS although everything else is denied', () => {
      const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy').map(({ spec }) => spec!);
      expect(
        policies.some(({ podSelector, policyTypes }) => !podSelector?.matchLabels && policyTypes?.includes('Egress')),
      ).toBe(true);
      const dns = policies.flatMap(({ podSelector, egress = [] }) => (podSelector?.matchLabels ? [] : egress));
      expect(dns.flatMap(({ ports = [] }) => ports)).toEqual(
        expect.arrayContaining([
          { protocol: 'UDP', port: 53 },
          { protocol: 'TCP', port: 53 },
        ]),
      );
    });

    it.each(containers.map((container): [string, Container] => [container.name, container]))(
      'hardens %s',
      (_name, container) => {
        expect(container.image).toMatch(/:[\d.]+[\w.-]*$/);
        expect(container.resources?.limits?.['memory']).toBeDefined();
        expect(container.securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      },
    );

    it('runs as nobody in particular and without a token of the cluster', () => {
      for (const pod of pods) {
        expect(pod.automountServiceAccountToken).toBe(false);
        expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      }
    });

    it('selects the pods it means to', () => {
      const labels = manifests.flatMap(({ spec }) => (spec?.template ? [spec.template.metadata.labels] : []));
      for (const kind of ['PodDisruptionBudget', 'NetworkPolicy'])
        for (const { spec } of manifests.filter((manifest) => manifest.kind === kind)) {
          const wanted = spec?.selector?.matchLabels ?? spec?.podSelector?.matchLabels;
          if (wanted) expect(labels).toContainEqual(wanted);
        }
    });
  });
}

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
