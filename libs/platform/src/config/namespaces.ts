import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigModule, registerAs } from '@nestjs/config';
import { MODEL_KEYS } from '@yuxi/embedding';
import { indexingHooksFromEnv } from '@yuxi/knowledge';
import { environment, namedVariable } from './env.js';

/** What running handlers get at a shutdown to end by themselves, milliseconds. */
const LONGEST_GRACE = 10_000;
/** What it takes at worst to hand back what they have not ended, and to close everything, milliseconds. */
const HAND_BACK = 10_000;
const MB = 1024 * 1024;

// What each part of the product takes from the environment, by name. Inject one by its KEY, as ConfigType<typeof httpConfig>.

export const httpConfig = registerAs('http', () => {
  const { env } = environment();
  return {
    host: env.YUXI_HOST,
    /** 0: any free one. */
    port: env.PORT,
    production: env.NODE_ENV === 'production',
    /** A line in the log for each request. */
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
  /** Lines for people: on a terminal, unless the variable says otherwise. */
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
    // The same after a restart, so that a replica that crashed is not missed once it is back.
    replica: `${hostname()}:${env.PORT || process.pid}`,
    /** File of the last known good settings; none where there is a database to ask. */
    lastKnownGood: env.DATABASE_URL === undefined ? undefined : join(env.YUXI_DATA_DIR, 'settings.json'),
  };
});

export const locksConfig = registerAs('locks', () => ({ ttl: environment().env.LOCK_TTL_MS }));

export const limitsConfig = registerAs('limits', () => {
  const { env } = environment();
  return {
    trustedProxies: env.TRUSTED_PROXIES,
    /** Until the setting says otherwise; 0: any number. */
    requestsPerMinute: env.YUXI_REQUESTS_PER_MINUTE,
    replicas: env.YUXI_REPLICAS,
    legacyHeaders: env.YUXI_LEGACY_LIMIT_HEADERS,
    login: { alarm: env.YUXI_LOGIN_ALARM, successClearsAddress: env.YUXI_LOGIN_SUCCESS_CLEARS_ADDRESS },
  };
});

export const tasksConfig = registerAs('tasks', () => {
  const { env } = environment();
  return {
    /** Whether an API process runs tasks too. */
    worker: env.YUXI_WORKER,
    concurrency: env.YUXI_WORKER_CONCURRENCY,
    lease: env.YUXI_TASK_LEASE,
    shutdownGrace: Math.min(LONGEST_GRACE, Math.max(0, env.YUXI_SHUTDOWN_TIMEOUT - HAND_BACK)),
  };
});

export const modelsConfig = registerAs('models', () => ({
  /** `undefined`: any public host, by https. */
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
    /** `undefined`: one is made, and kept in the database. */
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
 * The configuration of a process: {@link environment}, checked as a whole before the first namespace is made of it. `ConfigService`
 * knows the namespaces only, so that no value is used that was not checked.
 */
export const configuration = () =>
  ConfigModule.forRoot({
    isGlobal: true,
    cache: true,
    ignoreEnvFile: true,
    skipProcessEnv: true,
    // Reads the environment itself: what it returns here would be written to process.env.
    validate: () => {
      environment();
      return {};
    },
    load: NAMESPACES,
  });
