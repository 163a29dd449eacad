import { readFileSync } from 'node:fs';
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
import { ModelHosts } from '@yuxi/embedding';
import { type RedisOptions, redisOptionsFromEnv } from '@yuxi/redis';
import { parseTrustedProxies } from '@yuxi/throttler';
import { z } from 'zod';
import { jwtSecretProblem } from './env.secrets.js';

const SECRETS = ['DATABASE_URL', 'JWT_SECRET', 'REDIS_PASSWORD', 'REDIS_URL', 'YUXI_SETUP_TOKEN'] as const;

const MINUTE = 60_000;
const DAY = 86_400_000;

/** Everything this process reads from its environment: the only list of its kind. */
const schema = z.object({
  NODE_ENV: choiceVariable(['development', 'test', 'production']).default('development'),
  PORT: integerVariable(0, 65_535).default(5050),
  METRICS_PORT: integerVariable(0, 65_535).default(9464),
  YUXI_HOST: z.string().optional(),
  YUXI_DATA_DIR: z.string().default('./.yuxi'),
  DATABASE_URL: variable(databaseUrl).optional(),
  JWT_SECRET: z.string().optional(),
  YUXI_SETUP_TOKEN: z.string().min(8, 'must have at least 8 characters').optional(),
  YUXI_ACCESS_TTL: durationVariable({ min: '1m', max: '24d' }).default(15 * MINUTE),
  YUXI_SESSION_TTL: durationVariable({ min: '5m', max: '365d' }).default(30 * DAY),
  YUXI_AUDIT_RETENTION: durationVariable({ min: '1d', max: '3650d' }).default(180 * DAY),
  TRUSTED_PROXIES: variable(trustedProxies).default([]),
  ALLOWED_MODEL_HOSTS: variable(modelHosts).optional(),
  LOG_LEVEL: choiceVariable(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  LOCK_TTL_MS: durationVariable().optional(),
  YUXI_WORKER: choiceVariable(['on', 'off']).default('on'),
  YUXI_WORKER_CONCURRENCY: integerVariable(1, 64).default(4),
  YUXI_TASK_LEASE: durationVariable({ min: '2s', max: '1h' }).default(15_000),
  YUXI_TEST_PAUSE_AT: z.string().optional(),
  YUXI_TEST_BREAK: z.string().optional(),
});

const REDIS_VARIABLES = [
  'REDIS_URL', 'REDIS_HOST', 'REDIS_PORT', 'REDIS_USERNAME', 'REDIS_PASSWORD', 'REDIS_DB', 'REDIS_TLS', 'REDIS_TLS_CA',
  'REDIS_SENTINELS', 'REDIS_SENTINEL_NAME', 'REDIS_CLUSTER_NODES', 'REDIS_COMMAND_TIMEOUT_MS',
]; // prettier-ignore

/** Injection token of {@link Env}. */
export const ENV = Symbol.for('@yuxi/platform:Env');

/** The environment, read and checked. `redis` undefined means single-process mode. */
export interface Env extends Omit<z.output<typeof schema>, 'YUXI_HOST'> {
  YUXI_HOST: string;
  redis: RedisOptions | undefined;
}

/** The configuration cannot be used: the process must stop with exit code 78 (EX_CONFIG). */
export class EnvError extends Error {
  static readonly exitCode = 78;

  constructor(readonly problems: readonly string[]) {
    super(`Configuration is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'EnvError';
  }
}

/**
 * Reads the environment once, at boot.
 * @throws {EnvError} listing every problem, without the value of any secret.
 */
export function readEnv(source: EnvSource): { env: Env; warnings: string[] } {
  const { env, problems } = resolveEnv(source, { secrets: SECRETS, readFile: (path) => readFileSync(path, 'utf8') });
  const checked = checkEnv(schema, env, SECRETS);
  const redis = redisOptionsFromEnv(env);
  problems.push(...checked.problems, ...redis.problems);

  const production = env['NODE_ENV'] === 'production';
  const secretProblem = jwtSecretProblem(env['JWT_SECRET'], production);
  if (secretProblem) problems.push(secretProblem);
  for (const name of ['YUXI_TEST_PAUSE_AT', 'YUXI_TEST_BREAK'])
    if (env[name] && env['NODE_ENV'] !== 'test') problems.push(`${name} is for tests: it needs NODE_ENV=test`);

  if (problems.length > 0 || !checked.values) throw new EnvError(problems);
  const host = checked.values.YUXI_HOST ?? (production ? '0.0.0.0' : '127.0.0.1');
  return {
    env: { ...checked.values, YUXI_HOST: host, redis: redis.options },
    warnings: unknownVariables(env, 'YUXI_', [...Object.keys(schema.shape), ...REDIS_VARIABLES]),
  };
}

function databaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['postgres:', 'postgresql:'].includes(url.protocol))
    throw new Error('must be an address like postgres://user:password@host:5432/database');
  return text;
}

function modelHosts(text: string): ModelHosts {
  const { hosts, problems } = ModelHosts.parse(text);
  if (problems.length > 0) throw new Error(problems.join('; '));
  return hosts;
}

function trustedProxies(text: string): string[] {
  const { trusted, problems } = parseTrustedProxies(text);
  if (problems.length > 0) throw new Error(problems.join('; '));
  return trusted;
}
