import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import {
  checkEnv,
  choiceVariable,
  durationVariable,
  type EnvSource,
  integerVariable,
  resolveEnv,
  unknownVariables,
  variable,
} from '@yuxi/core';
import { MODEL_KEYS, ModelHosts } from '@yuxi/embedding';
import { REDIS_VARIABLES, type RedisOptions, redisOptionsFromEnv } from '@yuxi/redis';
import { parseTrustedProxies } from '@yuxi/throttler';
import { z } from 'zod';

/** Never shown in a message. Each may also be given as `<NAME>_FILE`. */
const SECRETS = [
  'DATABASE_PASSWORD',
  'DATABASE_URL',
  'JWT_SECRET',
  'REDIS_PASSWORD',
  'REDIS_SENTINEL_PASSWORD',
  'REDIS_URL',
  'YUXI_SETUP_TOKEN',
] as const;
/** For processes under test. Refused unless `NODE_ENV` is `test`. */
const TEST_VARIABLES = ['YUXI_TEST_PAUSE_AT', 'YUXI_TEST_BREAK'] as const;

const MINUTE = 60_000;
const DAY = 86_400_000;
/** Time in which load balancers detect that a replica is not ready. haproxy needs 6 s by default. */
const SHUTDOWN_DELAY = 10_000;
/** Least time for closing, after the delay. */
const SHUTDOWN_REST = 5000;

/** Patterns of secrets from tutorials, templates and the legacy API. */
const WELL_KNOWN_SECRETS = [
  /^yuxi_know_secure_key/i,
  /change.?me/i,
  /^(?:my|your|the)?[-_ ]?(?:jwt)?[-_ ]?secret(?:[-_ ]?key)?$/i,
  /^(.{1,8})\1+$/,
];

const MIN_SECRET_BYTES = 32;

const toggle = (byDefault: 'on' | 'off') =>
  choiceVariable(['on', 'off'])
    .default(byDefault)
    .transform((value) => value === 'on');

/** Everything that a process reads from its environment, except the address of Redis. */
const schema = z.object({
  NODE_ENV: choiceVariable(['development', 'test', 'production']).default('development'),
  PORT: integerVariable(0, 65_535).optional(),
  METRICS_PORT: integerVariable(0, 65_535).optional(),
  YUXI_HOST: z.string().optional(),
  YUXI_DATA_DIR: z.string().default('./.yuxi'),
  YUXI_MIN_FREE_MB: integerVariable(48, 1_000_000).optional(),
  DATABASE_URL: variable(databaseUrl).optional(),
  DATABASE_PASSWORD: z.string().optional(),
  DATABASE_POOL_SIZE: integerVariable(1, 1000).default(10),
  JWT_SECRET: z.string().optional(),
  YUXI_SETUP_TOKEN: z.string().min(8, 'must have at least 8 characters').optional(),
  YUXI_ACCESS_TTL: durationVariable({ min: '1m', max: '24d' }).default(15 * MINUTE),
  YUXI_SESSION_TTL: durationVariable({ min: '5m', max: '365d' }).default(30 * DAY),
  YUXI_AUDIT_RETENTION: durationVariable({ min: '1d', max: '3650d' }).default(180 * DAY),
  TRUSTED_PROXIES: variable(trustedProxies).default([]),
  ALLOWED_MODEL_HOSTS: variable(modelHosts).optional(),
  YUXI_MODEL_KEYS_DIR: variable(modelKeysDir).default(MODEL_KEYS.folder),
  LOG_LEVEL: choiceVariable(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  LOG_FORMAT: choiceVariable(['json', 'pretty']).optional(),
  YUXI_ACCESS_LOG: toggle('off'),
  YUXI_SHUTDOWN_DELAY: durationVariable({ min: 0, max: '5m' }).optional(),
  YUXI_SHUTDOWN_TIMEOUT: durationVariable({ min: SHUTDOWN_REST, max: '1h' }).default(25_000),
  LOCK_TTL_MS: durationVariable().optional(),
  YUXI_WORKER: toggle('on'),
  YUXI_WORKER_CONCURRENCY: integerVariable(1, 64).default(4),
  YUXI_TASK_LEASE: durationVariable({ min: '2s', max: '1h' }).default(5000),
  YUXI_REQUESTS_PER_MINUTE: integerVariable(0, 1_000_000).default(6000),
  YUXI_REPLICAS: integerVariable(1, 10_000).default(1),
  YUXI_LEGACY_LIMIT_HEADERS: toggle('off'),
  YUXI_LOGIN_ALARM: integerVariable(1, 1_000_000).default(600),
  YUXI_LOGIN_SUCCESS_CLEARS_ADDRESS: toggle('off'),
  YUXI_TEST_PAUSE_AT: z.string().optional(),
  YUXI_TEST_BREAK: z.string().optional(),
});

/** Names of all variables that an operator may set. */
export const VARIABLES: readonly string[] = [...Object.keys(schema.shape), ...REDIS_VARIABLES].filter(
  (name) => !(TEST_VARIABLES as readonly string[]).includes(name),
);

/** The processes of the product. They have different default ports, so that both can run on one machine, and different requirements. */
export type App = 'api' | 'worker';

const PORTS: Record<App, { PORT: number; METRICS_PORT: number }> = {
  api: { PORT: 5050, METRICS_PORT: 9464 },
  worker: { PORT: 5051, METRICS_PORT: 9465 },
};

/** The checked environment. Without `redis` the process runs in single-process mode. */
export interface Env extends Omit<
  z.output<typeof schema>,
  'YUXI_HOST' | 'PORT' | 'METRICS_PORT' | 'YUXI_SHUTDOWN_DELAY' | 'DATABASE_PASSWORD'
> {
  YUXI_HOST: string;
  PORT: number;
  METRICS_PORT: number;
  /** Milliseconds. */
  YUXI_SHUTDOWN_DELAY: number;
  redis: RedisOptions | undefined;
}

/** The configuration is invalid. The process must stop with exit code 78 (EX_CONFIG). */
export class EnvError extends Error {
  static readonly exitCode = 78;

  constructor(readonly problems: readonly string[]) {
    super(`Configuration is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'EnvError';
  }
}

/**
 * Reads an environment.
 * @param app default `api`
 * @throws {EnvError} listing every problem, without the value of any secret
 */
export function readEnv(source: EnvSource, app: App = 'api'): { env: Env; warnings: string[] } {
  const { env, problems } = resolveEnv(source, { secrets: SECRETS, readFile: (path) => readFileSync(path, 'utf8') });
  const checked = checkEnv(schema, env, SECRETS);
  const redis = redisOptionsFromEnv(env);
  problems.push(...checked.problems, ...redis.problems);

  const production = env['NODE_ENV'] === 'production';
  // A worker signs no tokens and needs no secret. But it shares its environment with the API, so it reports a weak secret.
  const secretProblem = jwtSecretProblem(env['JWT_SECRET'], production && app === 'api');
  if (secretProblem) problems.push(secretProblem);
  const passwordProblem = databasePasswordProblem(env);
  if (passwordProblem) problems.push(passwordProblem);
  for (const name of TEST_VARIABLES)
    if (env[name] && env['NODE_ENV'] !== 'test') problems.push(`${name} is for tests: it needs NODE_ENV=test`);

  if (checked.values) problems.push(...secretsAmongModelKeys(source, checked.values.YUXI_MODEL_KEYS_DIR));
  const shutdown = checked.values && shutdownOf(checked.values, app);
  if (shutdown?.problem) problems.push(shutdown.problem);
  if (problems.length > 0 || !checked.values || !shutdown) throw new EnvError(problems);
  const { DATABASE_PASSWORD, DATABASE_URL, ...values } = checked.values;
  const { PORT = PORTS[app].PORT, METRICS_PORT = PORTS[app].METRICS_PORT } = values;
  const YUXI_HOST = values.YUXI_HOST ?? (production ? '0.0.0.0' : '127.0.0.1');
  return {
    env: {
      ...values,
      DATABASE_URL: DATABASE_URL && withPassword(DATABASE_URL, DATABASE_PASSWORD),
      PORT,
      METRICS_PORT,
      YUXI_HOST,
      YUXI_SHUTDOWN_DELAY: shutdown.delay,
      redis: redis.options,
    },
    warnings: unknownVariables(env, 'YUXI_', [...VARIABLES, ...TEST_VARIABLES, ...modelKeysOf(env)]),
  };
}

/** Only an API with a shared database needs the delay: other replicas then serve its clients. */
function shutdownOf(values: z.output<typeof schema>, app: App): { delay: number; problem?: string } {
  const { YUXI_SHUTDOWN_DELAY: delay, YUXI_SHUTDOWN_TIMEOUT: timeout, DATABASE_URL } = values;
  const max = timeout - SHUTDOWN_REST;
  if (delay === undefined) return { delay: app === 'api' && DATABASE_URL ? Math.min(SHUTDOWN_DELAY, max) : 0 };
  if (delay <= max) return { delay };
  const problem = `YUXI_SHUTDOWN_DELAY (${delay} ms) must leave ${SHUTDOWN_REST} ms of YUXI_SHUTDOWN_TIMEOUT (${timeout} ms) for closing`;
  return { delay, problem };
}

let read: ReturnType<typeof readEnv> | undefined;

/**
 * The environment of this process with the additions of the file `.env`. Read at the first call.
 * @throws {EnvError}
 */
export function environment(app?: App): ReturnType<typeof readEnv> {
  if (read) return read;
  if (existsSync('.env')) process.loadEnvFile('.env');
  return (read = readEnv(process.env, app));
}

/** The value of a variable that a setting names, for example the key of a model. Undefined when it is not set. */
export function namedVariable(name: string): string | undefined {
  return process.env[name];
}

/**
 * The problem of a signing secret, or undefined. The message never contains the value.
 * Outside production the secret may be missing. Then one is generated and stored in the database.
 */
export function jwtSecretProblem(secret: string | undefined, production: boolean): string | undefined {
  const remedy = "generate one with: node -p \"require('crypto').randomBytes(48).toString('base64url')\"";
  if (!secret) return production ? `JWT_SECRET must be set in production (${remedy})` : undefined;
  if (Buffer.byteLength(secret) < MIN_SECRET_BYTES)
    return `JWT_SECRET must have at least ${MIN_SECRET_BYTES} bytes (${remedy})`;
  if (WELL_KNOWN_SECRETS.some((pattern) => pattern.test(secret)))
    return `JWT_SECRET is a well-known or repeating value (${remedy})`;
  return undefined;
}

function databaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['postgres:', 'postgresql:'].includes(url.protocol))
    throw new Error('must be an address like postgres://user:password@host:5432/database');
  return text;
}

/** The password is a variable of its own, because generated passwords contain characters with a meaning inside an address. */
function databasePasswordProblem({ DATABASE_URL: url, DATABASE_PASSWORD: password }: EnvSource): string | undefined {
  if (password === undefined) return undefined;
  if (url === undefined) return 'DATABASE_PASSWORD needs a DATABASE_URL, like postgres://user@host:5432/database';
  if (!URL.canParse(url)) return undefined;
  const { username, password: inside } = new URL(url);
  if (inside) return 'DATABASE_URL and DATABASE_PASSWORD both hold a password: keep one of them';
  return username
    ? undefined
    : 'DATABASE_PASSWORD needs a user in DATABASE_URL, like postgres://user@host:5432/database';
}

function withPassword(address: string, password: string | undefined): string {
  if (password === undefined) return address;
  const url = new URL(address);
  // The setter of URL does not encode `%`.
  url.password = encodeURIComponent(password);
  return url.href;
}

function modelHosts(text: string): ModelHosts {
  const { hosts, problems } = ModelHosts.parse(text);
  if (problems.length > 0) throw new Error(problems.join('; '));
  return hosts;
}

/** Settings name the files in it, so its path must be simple. */
function modelKeysDir(text: string): string {
  if (!/^(?:\/(?!\.\.?(?:\/|$))[\w.-]+)+$/.test(text))
    throw new Error(`must be the path of a folder like ${MODEL_KEYS.folder}: absolute, of letters, digits, - and _`);
  return text;
}

/** A user who may change settings can have a file of that folder sent to any address. */
function secretsAmongModelKeys(source: EnvSource, folder: string): string[] {
  const places = [folder, real(folder)].map((path) => path + sep);
  return SECRETS.map((name) => `${name}_FILE`).flatMap((name) => {
    const file = source[name];
    const inside = file && [resolve(file), real(file)].some((path) => places.some((place) => path.startsWith(place)));
    return inside
      ? [
          `${name} lies in ${folder}, where settings refer to keys of models: move it, or set YUXI_MODEL_KEYS_DIR to another folder`,
        ]
      : [];
  });
}

function real(path: string): string {
  return existsSync(path) ? realpathSync(path) : resolve(path);
}

/** The variables that settings may name. */
function modelKeysOf(env: EnvSource): string[] {
  return Object.keys(env).filter((name) => name.startsWith(MODEL_KEYS.envPrefix));
}

function trustedProxies(text: string): string[] {
  const { trusted, problems } = parseTrustedProxies(text);
  if (problems.length > 0) throw new Error(problems.join('; '));
  return trusted;
}
