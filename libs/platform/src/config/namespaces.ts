import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigModule, registerAs } from '@nestjs/config';
import { MODEL_KEYS } from '@yuxi/embedding';
import { indexingHooksFromEnv } from '@yuxi/knowledge';
import { environment, namedVariable } from './env.js';

/** Longest time at a shutdown in which running handlers may end by themselves, milliseconds. */
const MAX_GRACE = 10_000;
/** Longest time to return unfinished tasks to the queue and to close everything, milliseconds. */
const RETURN_TASKS = 10_000;
const MB = 1024 * 1024;

// One namespace for each part of the product. Inject it by its KEY, as ConfigType<typeof httpConfig>.

export const httpConfig = registerAs('http', () => {
  const { env } = environment();
  return {
    host: env.YUXI_HOST,
    /** 0: any free port. */
    port: env.PORT,
    production: env.NODE_ENV === 'production',
    /** Whether each request writes a line to the log. */
    accessLog: env.YUXI_ACCESS_LOG,
  };
});

export const metricsConfig = registerAs('metrics', () => {
  const { env } = environment();
  return { host: env.YUXI_HOST, port: env.METRICS_PORT };
});

export const logConfig = registerAs('log', () => {
  const { env } = environment();
  const { LOG_FORMAT: format } = env;
  // Readable text is the default on a terminal.
  return { level: env.LOG_LEVEL, pretty: format === undefined ? process.stdout.isTTY : format === 'pretty' };
});

/** `undefined`: single-process mode. */
export const redisConfig = registerAs('redis', () => ({ options: environment().env.redis }));

export const storageConfig = registerAs('storage', () => {
  const { env } = environment();
  return {
    /** `undefined`: embedded, in `dataDir`. */
    databaseUrl: env.DATABASE_URL,
    poolSize: env.DATABASE_POOL_SIZE,
    dataDir: env.YUXI_DATA_DIR,
    minFree: env.YUXI_MIN_FREE_MB && env.YUXI_MIN_FREE_MB * MB,
  };
});

export const settingsConfig = registerAs('settings', () => {
  const { env } = environment();
  return {
    // The same name after a restart, so that a crashed replica is not listed as missing afterwards.
    replica: `${hostname()}:${env.PORT || process.pid}`,
    /** File of the last known good settings. Only with a database server, because without one the data folder holds the database too. */
    lastKnownGood: env.DATABASE_URL === undefined ? undefined : join(env.YUXI_DATA_DIR, 'settings.json'),
  };
});

export const locksConfig = registerAs('locks', () => ({ ttl: environment().env.LOCK_TTL_MS }));

export const limitsConfig = registerAs('limits', () => {
  const { env } = environment();
  return {
    trustedProxies: env.TRUSTED_PROXIES,
    /** While the setting is unset. 0: no limit. */
    requestsPerMinute: env.YUXI_REQUESTS_PER_MINUTE,
    replicas: env.YUXI_REPLICAS,
    legacyHeaders: env.YUXI_LEGACY_LIMIT_HEADERS,
    login: { alarm: env.YUXI_LOGIN_ALARM, successClearsAddress: env.YUXI_LOGIN_SUCCESS_CLEARS_ADDRESS },
  };
});

export const tasksConfig = registerAs('tasks', () => {
  const { env } = environment();
  return {
    /** Whether an API process also runs tasks. */
    worker: env.YUXI_WORKER,
    concurrency: env.YUXI_WORKER_CONCURRENCY,
    lease: env.YUXI_TASK_LEASE,
    shutdownGrace: Math.min(MAX_GRACE, Math.max(0, env.YUXI_SHUTDOWN_TIMEOUT - RETURN_TASKS)),
  };
});

export const modelsConfig = registerAs('models', () => ({
  /** `undefined`: any public host, over https. */
  hosts: environment().env.ALLOWED_MODEL_HOSTS,
  keys: { ...MODEL_KEYS, folder: environment().env.YUXI_MODEL_KEYS_DIR },
  variable: namedVariable,
}));

export const indexingConfig = registerAs('indexing', () => {
  const { NODE_ENV, YUXI_TEST_PAUSE_AT, YUXI_TEST_BREAK } = environment().env;
  return { hooks: indexingHooksFromEnv({ NODE_ENV, YUXI_TEST_PAUSE_AT, YUXI_TEST_BREAK }) };
});

export const authConfig = registerAs('auth', () => {
  const { env } = environment();
  return {
    /** `undefined`: a generated one is used, from the database. */
    jwtSecret: env.JWT_SECRET,
    accessTtl: env.YUXI_ACCESS_TTL,
    sessionTtl: env.YUXI_SESSION_TTL,
    setupToken: env.YUXI_SETUP_TOKEN,
  };
});

export const auditConfig = registerAs('audit', () => ({ retention: environment().env.YUXI_AUDIT_RETENTION }));

const NAMESPACES = [
  httpConfig,
  metricsConfig,
  logConfig,
  redisConfig,
  storageConfig,
  settingsConfig,
  locksConfig,
  limitsConfig,
  tasksConfig,
  modelsConfig,
  indexingConfig,
  authConfig,
  auditConfig,
];

/**
 * The configuration of a process. {@link environment} is checked as a whole before the first namespace is built. `ConfigService` has only
 * the namespaces, so that no unchecked value is used.
 */
export const configuration = () =>
  ConfigModule.forRoot({
    isGlobal: true,
    cache: true,
    ignoreEnvFile: true,
    skipProcessEnv: true,
    // Returns nothing, because ConfigModule would write the result to process.env.
    validate: () => {
      environment();
      return {};
    },
    load: NAMESPACES,
  });
