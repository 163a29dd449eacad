import { readFileSync } from 'node:fs';
import { toMs } from '@yuxi/core';
import { parseRedisUrl, type RedisEndpoint, type RedisOptions } from './redis.options.js';

export interface RedisEnvironment {
  /** `undefined` when the environment names no Redis, or when there are problems. */
  options?: RedisOptions;
  /** One sentence for each invalid variable, naming it; values that may contain a secret are not repeated. */
  problems: string[];
}

/** Names of the variables that {@link redisOptionsFromEnv} reads. */
export const REDIS_VARIABLES = [
  'REDIS_URL',
  'REDIS_HOST',
  'REDIS_PORT',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_DB',
  'REDIS_TLS',
  'REDIS_TLS_CA',
  'REDIS_SENTINELS',
  'REDIS_SENTINEL_NAME',
  'REDIS_SENTINEL_USERNAME',
  'REDIS_SENTINEL_PASSWORD',
  'REDIS_CLUSTER_NODES',
  'REDIS_COMMAND_TIMEOUT_MS',
] as const;

/**
 * Reads `REDIS_URL`, or `REDIS_HOST`, `REDIS_PORT`, or `REDIS_SENTINELS` with `REDIS_SENTINEL_NAME` (and
 * `REDIS_SENTINEL_USERNAME`, `REDIS_SENTINEL_PASSWORD`), or `REDIS_CLUSTER_NODES`. Both lists are `host:port,host:port`.
 * With each it reads `REDIS_USERNAME`, `REDIS_PASSWORD`, `REDIS_DB`, `REDIS_TLS` (true/false), `REDIS_TLS_CA` (PEM file),
 * `REDIS_COMMAND_TIMEOUT_MS`. An empty variable counts as unset. Never throws.
 */
export function redisOptionsFromEnv(env: Record<string, string | undefined>): RedisEnvironment {
  const problems: string[] = [];
  const get = (name: string) => env[name]?.trim() || undefined;
  const bad = (name: string, rule: string, value?: string) => {
    problems.push(`${name} must be ${rule}${value === undefined ? '' : `, got ${JSON.stringify(value.slice(0, 80))}`}`);
    return undefined;
  };
  const integer = (name: string, min: number, max: number) => {
    const text = get(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : bad(name, `an integer ${min}..${max}`, text);
  };
  const list = (name: string, defaultPort: number) => {
    const text = get(name);
    if (text === undefined) return undefined;
    const all = text.split(',').map((each) => parseEndpoint(each.trim(), defaultPort));
    return all.every((each) => each !== undefined) ? all : bad(name, 'a list like host:port,host:port', text);
  };

  const url = get('REDIS_URL');
  const parsed = url === undefined ? undefined : parseRedisUrl(url);
  if (parsed && 'problem' in parsed) bad('REDIS_URL', parsed.problem);
  const host = get('REDIS_HOST');
  if (host !== undefined && !/^[^\s/@]+$/.test(host)) bad('REDIS_HOST', 'a host name or address');
  const port = integer('REDIS_PORT', 1, 65_535);
  const db = integer('REDIS_DB', 0, 65_535);
  const sentinels = list('REDIS_SENTINELS', 26_379);
  const sentinelName = get('REDIS_SENTINEL_NAME');
  const clusterNodes = list('REDIS_CLUSTER_NODES', 6379);

  const ways = ['REDIS_URL', 'REDIS_HOST', 'REDIS_SENTINELS', 'REDIS_CLUSTER_NODES'].filter(get);
  if (ways.length > 1) problems.push(`${ways.join(' and ')} contradict each other: set one of them`);
  if (get('REDIS_SENTINELS') && !sentinelName) bad('REDIS_SENTINEL_NAME', 'set to the name of the master');
  if (sentinelName && !get('REDIS_SENTINELS')) bad('REDIS_SENTINELS', 'set when REDIS_SENTINEL_NAME is');
  if (get('REDIS_CLUSTER_NODES') && db) bad('REDIS_DB', '0 or unset on a Cluster', String(db));

  const commandTimeout = duration('REDIS_COMMAND_TIMEOUT_MS', get, bad);
  const tls = tlsOf(get, bad);
  if (problems.length > 0 || ways.length === 0) return { problems };
  const options: RedisOptions = {
    url,
    host,
    port,
    username: get('REDIS_USERNAME'),
    password: env['REDIS_PASSWORD'] || undefined,
    db,
    tls,
    sentinels,
    sentinelName,
    sentinelUsername: get('REDIS_SENTINEL_USERNAME'),
    sentinelPassword: env['REDIS_SENTINEL_PASSWORD'] || undefined,
    clusterNodes,
    commandTimeout,
  };
  return { options, problems };
}

type Get = (name: string) => string | undefined;
type Bad = (name: string, rule: string, value?: string) => undefined;

function duration(name: string, get: Get, bad: Bad): number | undefined {
  const text = get(name);
  if (text === undefined) return undefined;
  try {
    return toMs(name, /^\d+$/.test(text) ? Number(text) : text, { max: 60_000 });
  } catch {
    return bad(name, "an integer 1..60000 ms or a duration like '2s'", text);
  }
}

function tlsOf(get: Get, bad: Bad): RedisOptions['tls'] {
  const text = get('REDIS_TLS')?.toLowerCase();
  if (text !== undefined && !['true', 'false', '1', '0'].includes(text)) return bad('REDIS_TLS', 'true or false', text);
  const on = text === undefined ? undefined : text === 'true' || text === '1';
  const file = get('REDIS_TLS_CA');
  if (file === undefined) return on;
  if (on === false) return bad('REDIS_TLS', 'true when REDIS_TLS_CA is set');
  try {
    return { ca: readFileSync(file, 'utf8') };
  } catch {
    return bad('REDIS_TLS_CA', 'a readable PEM file', file);
  }
}

function parseEndpoint(text: string, defaultPort: number): RedisEndpoint | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}
