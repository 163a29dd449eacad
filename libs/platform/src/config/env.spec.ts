import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { EnvError, jwtSecretProblem, readEnv, VARIABLES } from './env.js';

const SECRET = 'k3YmV0dGVyLXRoYW4tYS13ZWFrLXNlY3JldC1v';

function problemsOf(source: Record<string, string>): readonly string[] {
  try {
    readEnv(source);
  } catch (error) {
    if (error instanceof EnvError) return error.problems;
    throw error;
  }
  return [];
}

const delayOf = (source: Record<string, string>, app?: 'api' | 'worker') =>
  readEnv(source, app).env.YUXI_SHUTDOWN_DELAY;

describe('readEnv', () => {
  it('needs no variable: the default is a single process on the loopback with its data in a folder', () => {
    const { env, warnings } = readEnv({});
    expect(env).toMatchObject({
      NODE_ENV: 'development',
      PORT: 5050,
      METRICS_PORT: 9464,
      YUXI_HOST: '127.0.0.1',
      YUXI_DATA_DIR: './.yuxi',
      TRUSTED_PROXIES: [],
      LOG_LEVEL: 'info',
      YUXI_ACCESS_TTL: 15 * 60_000,
      YUXI_SESSION_TTL: 30 * 86_400_000,
      YUXI_AUDIT_RETENTION: 180 * 86_400_000,
      YUXI_WORKER: true,
      YUXI_WORKER_CONCURRENCY: 4,
      YUXI_TASK_LEASE: 5000,
      redis: undefined,
    });
    expect(warnings).toEqual([]);
  });

  it('listens on every address in production, unless YUXI_HOST is set', () => {
    const production = { NODE_ENV: 'production', JWT_SECRET: SECRET };
    expect(readEnv(production).env.YUXI_HOST).toBe('0.0.0.0');
    expect(readEnv({ ...production, YUXI_HOST: '10.1.2.3' }).env.YUXI_HOST).toBe('10.1.2.3');
  });

  it('serves for a delay after SIGTERM where other replicas exist, and leaves time to close', () => {
    const DATABASE_URL = 'postgres://localhost/x';
    expect(delayOf({})).toBe(0);
    expect(delayOf({ DATABASE_URL })).toBe(10_000);
    expect(delayOf({ DATABASE_URL, YUXI_SHUTDOWN_TIMEOUT: '8s' })).toBe(3000);
    expect(delayOf({ DATABASE_URL }, 'worker')).toBe(0);
    expect(delayOf({ YUXI_SHUTDOWN_DELAY: '20s' })).toBe(20_000);
    expect(problemsOf({ YUXI_SHUTDOWN_DELAY: '20s', YUXI_SHUTDOWN_TIMEOUT: '24s' })).toEqual([
      'YUXI_SHUTDOWN_DELAY (20000 ms) must leave 5000 ms of YUXI_SHUTDOWN_TIMEOUT (24000 ms) for closing',
    ]);
  });

  it('has other default ports for the worker, and requires no secret of it', () => {
    const { env } = readEnv({ NODE_ENV: 'production' }, 'worker');
    expect(env).toMatchObject({ PORT: 5051, METRICS_PORT: 9465 });
    expect(env.JWT_SECRET).toBeUndefined();
    expect(readEnv({ PORT: '80', METRICS_PORT: '81' }, 'worker').env).toMatchObject({ PORT: 80, METRICS_PORT: 81 });
    expect(() => readEnv({ JWT_SECRET: 'changeme' }, 'worker')).toThrow(/JWT_SECRET/);
  });

  it('is documented in .env.example, each variable once and no other', () => {
    const lines = readFileSync('.env.example', 'utf8').split('\n');
    const named = lines.flatMap((line) => /^# ([A-Z_]+)=/.exec(line)?.[1] ?? []);
    expect(named.toSorted()).toEqual(VARIABLES.toSorted());
  });

  it('treats an empty variable as unset', () => {
    const { env } = readEnv({
      PORT: '',
      REDIS_PORT: '',
      REDIS_URL: '',
      LOCK_TTL_MS: '',
      JWT_SECRET: '',
      YUXI_HOST: '',
    });
    expect(env).toMatchObject({ PORT: 5050, redis: undefined, YUXI_HOST: '127.0.0.1' });
  });

  it('reads durations, lists and the address of Redis', () => {
    const { env } = readEnv({
      LOCK_TTL_MS: '30s',
      TRUSTED_PROXIES: '10.0.0.0/8, 192.168.1.1',
      REDIS_HOST: 'redis',
      REDIS_PORT: '6380',
      LOG_LEVEL: 'DEBUG',
      YUXI_ACCESS_TTL: '7d',
      YUXI_SESSION_TTL: '365d',
    });
    expect(env).toMatchObject({ YUXI_ACCESS_TTL: 604_800_000, YUXI_SESSION_TTL: 31_536_000_000 });
    expect(env).toMatchObject({ LOCK_TTL_MS: 30_000, LOG_LEVEL: 'debug', redis: { host: 'redis', port: 6380 } });
    expect(env.TRUSTED_PROXIES).toHaveLength(2);
  });

  it.each<[string, Record<string, string>, string]>([
    ['letters for a port', { REDIS_HOST: 'x', REDIS_PORT: 'abc' }, 'REDIS_PORT'],
    ['letters after a port', { REDIS_HOST: 'x', REDIS_PORT: '6379abc' }, 'REDIS_PORT'],
    ['port 0', { REDIS_HOST: 'x', REDIS_PORT: '0' }, 'REDIS_PORT'],
    ['port 65536', { REDIS_HOST: 'x', REDIS_PORT: '65536' }, 'REDIS_PORT'],
    ['letters after the own port', { PORT: '5050x' }, 'PORT'],
    ['another scheme', { REDIS_URL: 'http://localhost:6379' }, 'REDIS_URL'],
    ['sentinels without a master', { REDIS_SENTINELS: 'a:26379,b:26379' }, 'REDIS_SENTINEL_NAME'],
    ['URL and cluster', { REDIS_URL: 'redis://a', REDIS_CLUSTER_NODES: 'a:1,b:2' }, 'REDIS_CLUSTER_NODES'],
    ['trust in every client', { TRUSTED_PROXIES: 'true' }, 'TRUSTED_PROXIES'],
    ['trust in a number of hops', { TRUSTED_PROXIES: '1' }, 'TRUSTED_PROXIES'],
    ['an invalid address', { TRUSTED_PROXIES: '999.1.1.1/8' }, 'TRUSTED_PROXIES'],
    ['a database address that is not a URL', { DATABASE_URL: 'localhost:5432' }, 'DATABASE_URL'],
    ['another database', { DATABASE_URL: 'mysql://u:p@h/d' }, 'DATABASE_URL'],
    ['a database password without a user', { DATABASE_URL: 'postgres://h/d', DATABASE_PASSWORD: 'x' }, 'DATABASE_PASSWORD'],
    ['a database password without an address', { DATABASE_PASSWORD: 'x' }, 'DATABASE_PASSWORD'],
    ['two database passwords', { DATABASE_URL: 'postgres://u:p@h/d', DATABASE_PASSWORD: 'x' }, 'DATABASE_PASSWORD'],
    ['an invalid duration', { LOCK_TTL_MS: 'soon' }, 'LOCK_TTL_MS'],
    ['a duration of 0', { LOCK_TTL_MS: '0' }, 'LOCK_TTL_MS'],
    ['an access token of one second', { YUXI_ACCESS_TTL: '1s' }, 'YUXI_ACCESS_TTL'],
    ['an access token of a month', { YUXI_ACCESS_TTL: '31d' }, 'YUXI_ACCESS_TTL'],
    ['a session that is too long', { YUXI_SESSION_TTL: '1000d' }, 'YUXI_SESSION_TTL'],
    ['a retention that is too short', { YUXI_AUDIT_RETENTION: '1h' }, 'YUXI_AUDIT_RETENTION'],
    ['an unknown environment', { NODE_ENV: 'prod' }, 'NODE_ENV'],
    ['an unknown format', { LOG_FORMAT: 'text' }, 'LOG_FORMAT'],
    ['an unknown level', { LOG_LEVEL: 'loud' }, 'LOG_LEVEL'],
    ['a switch that is neither on nor off', { YUXI_WORKER: 'yes' }, 'YUXI_WORKER'],
    ['too much concurrency', { YUXI_WORKER_CONCURRENCY: '65' }, 'YUXI_WORKER_CONCURRENCY'],
    ['a short setup token', { YUXI_SETUP_TOKEN: 'short' }, 'YUXI_SETUP_TOKEN'],
    ['a pause outside tests', { YUXI_TEST_PAUSE_AT: 'before-claim' }, 'YUXI_TEST_PAUSE_AT'],
    ['a breakage in production', { NODE_ENV: 'production', JWT_SECRET: SECRET, YUXI_TEST_BREAK: 'claim' }, 'YUXI_TEST_BREAK'],
  ])('refuses %s', (_row, source, name) => {
    const problems = problemsOf(source);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(name);
  }); // prettier-ignore

  it.each(['a b/c+d="\'#\\', 'per%41cent%', '@:?&[]', 'Zürich 密码'])(
    'puts the database password %s into the address so that the driver reads it back',
    (password) => {
      const { env } = readEnv({
        DATABASE_URL: 'postgres://yuxi@db:5433/know?sslmode=disable',
        DATABASE_PASSWORD: password,
      });
      expect(new Client({ connectionString: env.DATABASE_URL })).toMatchObject({
        host: 'db',
        port: 5433,
        user: 'yuxi',
        password,
        database: 'know',
      });
      expect(env).not.toHaveProperty('DATABASE_PASSWORD');
    },
  );

  it('lists every problem at once, each with its variable, and shows no secret', () => {
    const secrets = {
      DATABASE_URL: 'mysql://root:hunter2-db@host/d',
      REDIS_URL: 'http://:hunter2-redis@host',
      JWT_SECRET: 'hunter2-jwt',
      YUXI_SETUP_TOKEN: 'hunter2',
    };
    const problems = problemsOf({ ...secrets, PORT: 'abc', TRUSTED_PROXIES: 'true', LOCK_TTL_MS: 'soon' });
    const names = [...Object.keys(secrets), 'PORT', 'TRUSTED_PROXIES', 'LOCK_TTL_MS'];
    for (const name of names) expect(problems.filter((problem) => problem.startsWith(name))).toHaveLength(1);
    expect(problems).toHaveLength(names.length);
    const { message } = new EnvError(problems);
    expect(message).not.toContain('hunter2');
    expect(message.split('\n')).toHaveLength(names.length + 1);
    expect(EnvError.exitCode).toBe(78);
  });

  it('warns of an unknown variable and names the nearest known one', () => {
    const { warnings } = readEnv({ YUXI_DATA_DIRR: 'x', YUXI_REDIS_PASWORD: 'hunter2', YUXI_WHATEVER_THIS_IS: '1' });
    expect(warnings).toEqual([
      expect.stringMatching(/^YUXI_DATA_DIRR .*did you mean YUXI_DATA_DIR\?$/),
      expect.stringMatching(/^YUXI_REDIS_PASWORD .*did you mean REDIS_PASSWORD\?$/),
      expect.stringMatching(/^YUXI_WHATEVER_THIS_IS [^?]*$/),
    ]);
    expect(warnings.join()).not.toContain('hunter2');
  });

  it('accepts the variables of tests under NODE_ENV=test', () => {
    const { env } = readEnv({ NODE_ENV: 'test', YUXI_TEST_PAUSE_AT: 'before-claim', YUXI_TEST_BREAK: 'claim' });
    expect(env).toMatchObject({ YUXI_TEST_PAUSE_AT: 'before-claim', YUXI_TEST_BREAK: 'claim' });
  });

  describe('secrets in files', () => {
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'env-'));
      writeFileSync(join(folder, 'jwt'), `${SECRET}\n`);
    });
    afterAll(() => rmSync(folder, { recursive: true }));

    it('are read without the line break at their end', () => {
      expect(readEnv({ JWT_SECRET_FILE: join(folder, 'jwt') }).env.JWT_SECRET).toBe(SECRET);
    });

    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };

    it('are possible for every secret', () => {
      const { env } = readEnv({
        DATABASE_URL_FILE: file('database', 'postgres://u:hunter2@h/d'),
        REDIS_SENTINELS: 'a',
        REDIS_SENTINEL_NAME: 'm',
        REDIS_PASSWORD_FILE: file('redis', 'hunter2'),
        REDIS_SENTINEL_PASSWORD_FILE: file('sentinel', 'hunter3'),
        YUXI_SETUP_TOKEN_FILE: file('setup', 'long enough'),
      });
      expect(env).toMatchObject({
        DATABASE_URL: 'postgres://u:hunter2@h/d',
        YUXI_SETUP_TOKEN: 'long enough',
        redis: { password: 'hunter2', sentinelPassword: 'hunter3' },
      });
      expect(readEnv({ REDIS_URL_FILE: file('url', 'redis://h') }).env.redis).toMatchObject({ url: 'redis://h' });
    });

    it('are refused in the folder of model keys, also through a link', () => {
      const keys = mkdtempSync(join(tmpdir(), 'yuxi-keys-'));
      const secret = join(keys, 'jwt');
      writeFileSync(secret, SECRET);
      symlinkSync(keys, `${keys}-link`);
      const rule =
        /JWT_SECRET_FILE lies in .*, where settings refer to keys of models: move it, or set YUXI_MODEL_KEYS_DIR to another folder/;
      for (const [dir, path] of [
        [keys, secret],
        [`${keys}-link`, secret],
        [keys, `${keys}-link/jwt`],
        [dirname(keys), secret],
      ])
        expect(() => readEnv({ YUXI_MODEL_KEYS_DIR: dir, JWT_SECRET_FILE: path })).toThrow(rule);
      expect(
        readEnv({ YUXI_MODEL_KEYS_DIR: join(keys, 'models'), JWT_SECRET_FILE: secret }).env.YUXI_MODEL_KEYS_DIR,
      ).toBe(`${keys}/models`);
      for (const dir of ['keys', '/', '/run/../etc', '/run/secrets/', '/with blank'])
        expect(() => readEnv({ YUXI_MODEL_KEYS_DIR: dir })).toThrow(/YUXI_MODEL_KEYS_DIR must be the path of a folder/);
      expect(readEnv({ YUXI_MODEL_KEY_OPENAI: 'x' }).warnings).toEqual([]);
      rmSync(`${keys}-link`);
      rmSync(keys, { recursive: true });
    });

    it('are checked like other secrets', () => {
      writeFileSync(join(folder, 'weak'), 'changeme');
      expect(problemsOf({ JWT_SECRET_FILE: join(folder, 'weak') })).toEqual([expect.stringMatching(/^JWT_SECRET /)]);
      expect(problemsOf({ JWT_SECRET_FILE: join(folder, 'none') })).toEqual([
        expect.stringMatching(/^JWT_SECRET_FILE /),
      ]);
    });
  });
});

describe('jwtSecretProblem', () => {
  it('accepts a random secret everywhere, and a missing one outside production', () => {
    for (const encoding of ['hex', 'base64', 'base64url'] as const)
      expect(jwtSecretProblem(randomBytes(48).toString(encoding), true)).toBeUndefined();
    expect(jwtSecretProblem(undefined, false)).toBeUndefined();
    expect(jwtSecretProblem('', false)).toBeUndefined();
  });

  it.each([
    ['missing', undefined, /must be set in production/],
    ['empty', '', /must be set in production/],
    ['short', 'x9-Kq2_zT4', /at least 32 bytes/],
    [
      'one byte short',
      randomBytes(31)
        .toString('latin1')
        .replace(/[^\x21-\x7e]/g, 'q'),
      /at least 32 bytes/,
    ],
    ['the default of the legacy API', 'yuxi_know_secure_key_0123456789abcdef', /well-known/],
    ['the same in capitals', 'YUXI_KNOW_SECURE_KEY_0123456789ABCDEF', /well-known/],
    ['of a template', 'please-change-me-before-you-deploy-this', /well-known/],
    ['of another template', 'CHANGEME-CHANGEME-CHANGEME-CHANGEME1', /well-known/],
    ['one letter', 'a'.repeat(64), /repeating/],
    ['a repeated word', 'password'.repeat(8), /repeating/],
  ])('refuses one that is %s', (_what, secret, message) => {
    const problem = jwtSecretProblem(secret, true);
    expect(problem).toMatch(message);
    expect(problem).toMatch(/^JWT_SECRET .*randomBytes/);
    if (secret) expect(problem).not.toContain(secret);
  });

  it('checks a given secret also outside production', () => {
    expect(jwtSecretProblem('secret', false)).toMatch(/at least 32 bytes/);
  });
});
