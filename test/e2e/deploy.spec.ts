import { execFile } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { api, firstRun, reportSkip, startPostgres, startRedis, startReplicas, temporaryFolder } from '@yuxi/testing';
import { tally, wrongLogins } from '../support/api/logins.js';
import { Deployment } from '../support/deploy/deployment.js';
import { Engine, whyNoEngine } from '../support/deploy/engine.js';
import { baseImage, buildSubstituteImages } from '../support/deploy/stand-ins.js';
import { filesIn, forbiddenFiles } from '../support/deploy/tree.js';
import { uploadToSearch } from '../support/deploy/use.js';
import { FULL } from '../support/size.js';

const MINUTES = 60_000;
const MB = 1_000_000;
const IMAGE = 'yuxi-know-api:0.1.0';
const run = promisify(execFile);

/** Headers of the n-th request: each claims another address, like those of an attacker. */
const claimed = (index: number) => ({ 'x-forwarded-for': `203.0.113.${index}` });

describe('the content of the image', () => {
  const folder = join(temporaryFolder('image'), 'app');
  beforeAll(() => run(process.execPath, ['scripts/image.mjs', folder]), MINUTES);

  it('has no test and no compiler', () => {
    const files = filesIn(folder);
    expect(files).toContain('apps/worker/dist/bundle/main.mjs');
    expect(forbiddenFiles(files)).toEqual([]);
  });

  it(
    'serves a document from the upload to the search without the rest of the repository',
    async () => {
      const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
      const { url } = await postgres.createDatabase();
      const entry = join(folder, 'apps/api/dist/bundle/main.mjs');
      const [replica] = await startReplicas({ count: 1, entry, redisUrl: redis.url, databaseUrl: url });
      try {
        const { baseUrl } = replica!;
        const found = await uploadToSearch(api(baseUrl), await firstRun(baseUrl), 'Otters sleep in kelp.', 'otters');
        expect(found.join()).toContain('Otters sleep in kelp.');
      } finally {
        await replica!.stop();
        await Promise.all([redis.stop(), postgres.stop()]);
      }
    },
    MINUTES,
  );
});

/** Needs root and several minutes: `npm run prove -- deploy`. */
const absent = FULL ? await whyNoEngine() : undefined;

if (absent !== undefined) {
  it('the image and docker compose run on a real engine', () => {
    reportSkip('docker compose on a real engine', absent);
    expect(absent).toMatch(/\w/);
  });
}

if (FULL && absent === undefined) {
  describe('on a real engine', () => {
    let engine: Engine;
    let deployment: Deployment;
    beforeAll(async () => {
      engine = await Engine.start();
      await buildSubstituteImages(engine);
      deployment = await Deployment.checkOut(engine);
    }, 20 * MINUTES);
    afterAll(() => engine?.stop(), 5 * MINUTES);

    /** A shell in the image, as the image starts it. */
    const inImage = (script: string) =>
      engine.docker('run', '--rm', '--read-only', '--network', 'none', IMAGE, 'sh', '-c', script);

    it(
      'compose without secrets shows the command that makes them',
      async () => {
        const { code, output } = await deployment.try('docker compose up --detach');
        expect(code).not.toBe(0);
        expect(output).toContain('run "sh scripts/make-secrets.sh" first');
      },
      MINUTES,
    );

    it(
      'the image is at most 120 MB larger than its base',
      async () => {
        await deployment.type('sh scripts/make-secrets.sh');
        await deployment.type('docker compose build api worker');
        const above = (await engine.sizeOf(IMAGE)) - (await engine.sizeOf(baseImage()));
        console.info(`the image is ${(above / MB).toFixed(1)} MB above its base`);
        expect(above).toBeGreaterThan(10 * MB);
        expect(above).toBeLessThanOrEqual(120 * MB);
      },
      20 * MINUTES,
    );

    it(
      'the image runs as a user other than root, on a read-only root, without tests and compilers',
      async () => {
        expect(Number(await inImage('id -u'))).toBe(10_001);
        expect(
          (await engine.try('docker', ['run', '--rm', '--read-only', '--network', 'none', IMAGE, 'touch', '/app/x']))
            .output,
        ).toMatch(/read-only file system/i);
        expect(await inImage('node --version')).toMatch(/^v24\./);
        const files = (
          await inImage(
            'find / -xdev ! -type d -not -path "/proc/*" -not -path "/usr/local/lib/node_modules/npm/*" 2> /dev/null || true',
          )
        ).split('\n');
        expect(files).toContain('/app/apps/api/dist/bundle/main.mjs');
        expect(forbiddenFiles(files)).toEqual([]);
        expect(files.filter((file) => file.startsWith('/app/') && /secret|\.env/.test(file))).toEqual([]);
      },
      5 * MINUTES,
    );

    it(
      'a change of the sources does not install the packages again',
      async () => {
        appendFileSync(join(deployment.folder, 'apps/api/src/main.ts'), '\n// changed\n');
        const output = await deployment.type('docker compose --progress plain build api');
        const install = output.slice(output.indexOf('RUN npm ci'));
        expect(install.slice(0, 400)).toMatch(/CACHED|Using cache/);
      },
      20 * MINUTES,
    );

    describe('docker compose up --scale api=3', () => {
      let token: string;
      beforeAll(async () => {
        await deployment.type('docker compose up --detach --wait --wait-timeout 300 --scale api=3');
        const setup_token = deployment.secret('setup_token');
        const json = { user_id: 'root_admin', password: 'correct horse battery', setup_token };
        const { body } = await api(deployment.url).post<{ access_token: string }>('/api/auth/initialize', { json });
        token = body.access_token;
      }, 10 * MINUTES);

      it('makes every container healthy, and the containers of this product read-only', async () => {
        const containers = await deployment.containers();
        expect(containers.map(({ State }) => State.Health?.Status)).toEqual(Array(7).fill('healthy'));
        const ours = [...(await deployment.containers('api')), ...(await deployment.containers('worker'))];
        expect(ours).toHaveLength(4);
        for (const { Config, HostConfig } of ours) {
          expect(HostConfig.ReadonlyRootfs).toBe(true);
          expect(Config.User).toBe('10001');
        }
      });

      it('shows no secret in environments and command lines', async () => {
        const shown = JSON.stringify(await deployment.containers());
        for (const name of ['redis_password', 'postgres_password', 'jwt_secret', 'setup_token'])
          expect(shown).not.toContain(deployment.secret(name));
      });

      it('spreads requests over the three replicas', async () => {
        const client = api(deployment.url);
        const answers = await Promise.all(Array.from({ length: 60 }, () => client.get('/api/auth/me', { token })));
        expect(tally(answers)).toEqual({ 200: 60 });
        const ask = `fetch('http://127.0.0.1:9464/metrics').then((answer) => answer.text()).then(console.log)`;
        for (const index of [1, 2, 3]) {
          const metrics = await deployment.node('api', index, ask);
          expect(metrics).toMatch(/^yuxi_http_request_duration_seconds_count\{.*api\/auth\/me.*\} [1-9]/m);
        }
      });

      it(
        'serves a document from the upload to the search, indexed by the worker',
        async () => {
          const found = await uploadToSearch(api(deployment.url), token, 'Otters sleep in kelp.', 'otters');
          expect(found.join()).toContain('Otters sleep in kelp.');
        },
        2 * MINUTES,
      );

      it('checks 10 of 15 wrong logins of one client, whatever address it claims, and still those of another client', async () => {
        const answers = await wrongLogins([api(deployment.url)], 15, { headers: claimed, username: 'unknown' });
        console.info(`15 wrong logins through the front: ${JSON.stringify(tally(answers))}`);
        expect(tally(answers)).toEqual({ 401: 10, 429: 5 });
        // From another address.
        const login = `fetch('http://front:5050/api/auth/token', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ username: 'unknown_too', password: 'wrong' }),
        }).then((answer) => console.log(answer.status))`;
        expect(await deployment.node('worker', 1, login)).toBe('401\n');
      });

      it(
        'ends every container with 0 when it is stopped',
        async () => {
          await deployment.type('docker compose stop');
          const codes = (await deployment.containers()).map(({ Name, State }) => [Name, State.ExitCode]);
          expect(codes).toHaveLength(7);
          expect(codes.filter(([, code]) => code !== 0)).toEqual([]);
        },
        3 * MINUTES,
      );
    });

    it(
      'passwords with special characters work',
      async () => {
        await deployment.type('docker compose down --volumes');
        for (const [name, text] of Object.entries({
          redis_password: `a b/c+d="'#\\$x`,
          postgres_password: `/a b%41@:?#"'\\$x`,
        }))
          writeFileSync(join(deployment.folder, 'secrets', name), `${text}\n`);
        await deployment.type('docker compose up --detach --wait --wait-timeout 300');
        expect((await api(deployment.url).get('/health/ready')).status).toBe(200);
        await deployment.type('docker compose stop');
      },
      10 * MINUTES,
    );
  });
}
