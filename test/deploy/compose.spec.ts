import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { MODEL_KEYS } from '@yuxi/embedding';
import { parseTrustedProxies } from '@yuxi/throttler';
import { readCompose } from './compose.js';

describe('docker-compose.yml', () => {
  const { services, secrets, configs } = readCompose();
  const all = Object.entries(services);
  const ours = ['api', 'worker'].map((name) => services[name]!);

  it('pins every image', () => {
    expect(Object.keys(services).toSorted()).toEqual(['api', 'front', 'postgres', 'redis', 'worker']);
    for (const [, { image }] of all) expect(image).toMatch(/:[\w.]*\d/);
  });

  it('gives every tmpfs as one mount', () => {
    // In YAML `[/tmp:uid=999, gid=999]` is two, and the second is no path.
    for (const mount of all.flatMap(([, { tmpfs = [] }]) => tmpfs))
      expect(mount).toMatch(/^\/[^:]*(:\w+=\w+(,\w+=\w+)*)?$/);
  });

  it('takes secrets from files, which a read-only container can have, and says how to make them', () => {
    for (const [name, { file, environment }] of Object.entries(secrets)) {
      expect(environment).toBeUndefined();
      expect(file).toBe(`\${SECRETS_DIR:?run "sh scripts/make-secrets.sh" first}/${name}`);
    }
    for (const { secrets: used = [] } of Object.values(services))
      for (const name of used) expect(Object.keys(secrets)).toContain(name);
  });

  it('splices no secret into an address, an environment or a command line', () => {
    for (const [, { environment = {}, command = [] }] of all) {
      for (const [name, value] of Object.entries(environment)) {
        expect(`${name}: ${value}`).not.toMatch(/\$\{\w*(PASSWORD|SECRET|TOKEN)/);
        expect(value).not.toMatch(/:\/\/[^/]*:[^/]*@/);
        if (/PASSWORD|SECRET|TOKEN/.test(name)) expect(name).toMatch(/_FILE$/);
      }
      expect(command.join(' ')).not.toMatch(/--requirepass|\$\{\w*PASSWORD/);
    }
  });

  it('keeps keys of models, which settings may name, apart from all other secrets', () => {
    for (const { environment = {}, volumes = [] } of ours) {
      expect(volumes).toEqual([
        expect.objectContaining({
          source: '${SECRETS_DIR:?run "sh scripts/make-secrets.sh" first}/models',
          target: MODEL_KEYS.folder,
          read_only: true,
        }),
      ]);
      for (const place of Object.values(environment)) expect(place).not.toContain(MODEL_KEYS.folder);
    }
  });

  it('gives each service only the secrets that it reads', () => {
    for (const [, { environment = {}, command = [], healthcheck, secrets: used = [] }] of all) {
      const read = [...Object.values(environment), ...command, ...(healthcheck?.test ?? [])].join('\n');
      expect(new Set(Array.from(read.matchAll(/\/run\/secrets\/(\w+)/g), ([, name]) => name))).toEqual(new Set(used));
    }
  });

  it('has a port on the host at the front only, so that the others scale', () => {
    expect(all.filter(([, { ports = [] }]) => ports.length > 0).map(([name]) => name)).toEqual(['front']);
    expect(services['front']!.ports).toEqual(['${LISTEN:-127.0.0.1:5050}:5050']);
  });

  it('counts clients by the address that the front adds', () => {
    const trusted = services['api']!.environment!['TRUSTED_PROXIES']!;
    expect(trusted).toBe('${TRUSTED_PROXIES:-${NETWORK_PREFIX:-172.30.50}.2}');
    expect(parseTrustedProxies('172.30.50.2')).toEqual({ trusted: ['172.30.50.2'], problems: [] });
    expect(JSON.stringify(services['front'])).toContain('"ipv4_address":"${NETWORK_PREFIX:-172.30.50}.2"');
  });

  it('runs tasks in a worker of the same image', () => {
    const { api, worker } = services;
    expect(worker).toMatchObject({ image: api!.image, build: api!.build });
    expect(worker!.command).toEqual(['node', '--enable-source-maps', 'apps/worker/dist/bundle/main.mjs']);
    expect(api!.environment!['YUXI_WORKER']).toBe('off');
  });

  it('leaves our processes no right and no writable place but /tmp', () => {
    for (const service of ours) expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], tmpfs: ['/tmp'] });
  });

  it('gives every service longer to stop than the default, and starts each after what it needs', () => {
    for (const [, { stop_grace_period }] of all)
      expect(Number.parseInt(stop_grace_period ?? '10', 10)).toBeGreaterThan(10);
    for (const { depends_on, stop_grace_period } of ours) {
      expect(depends_on).toMatchObject({
        redis: { condition: 'service_healthy' },
        postgres: { condition: 'service_healthy' },
      });
      expect(Number.parseInt(stop_grace_period!, 10)).toBeGreaterThanOrEqual(45);
    }
    expect(services['front']!.depends_on).toMatchObject({ api: { condition: 'service_healthy' } });
  });

  it('probes Redis so that a wrong password fails', () => {
    expect(services['redis']!.healthcheck?.test?.join(' ')).toMatch(/redis-cli -e ping \| grep -q PONG/);
  });

  it('never sends a request again that a replica may have begun', () => {
    const front = readFileSync(configs['haproxy']!.file, 'utf8');
    expect(front).toMatch(/^ +retry-on conn-failure$/m);
    expect(front).toMatch(/^ +option forwardfor$/m);
    expect(front).toMatch(/^ +server-template api- 1-10 api:5050 resolvers docker\b/m);
    expect(front).toMatch(/^ +option httpchk GET \/health\/ready$/m);
  });
});
