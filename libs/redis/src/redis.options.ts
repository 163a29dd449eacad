import type { ConnectionOptions } from 'node:tls';
import { type Duration, OptionsError, toMs } from '@yuxi/core';
import { parseRedisUrl } from './redis.url.js';

export interface RedisEndpoint {
  host: string;
  port: number;
}

/** Give exactly one of `url`, `host`, `sentinels`, `clusterNodes`; none of them means that there is no Redis. */
export interface RedisOptions {
  /** `redis://user:password@host:port/db`, or `rediss://` for TLS. */
  url?: string;
  host?: string;
  /** Default 6379. */
  port?: number;
  username?: string;
  password?: string;
  /** Database number, default 0. A Cluster has only 0. */
  db?: number;
  /** `true` for TLS with the system's authorities, or Node's TLS options, e.g. `{ ca }`. */
  tls?: boolean | ConnectionOptions;
  sentinels?: RedisEndpoint[];
  /** Name of the master that the Sentinels watch; required with `sentinels`. */
  sentinelName?: string;
  sentinelUsername?: string;
  sentinelPassword?: string;
  clusterNodes?: RedisEndpoint[];
  /** Longest wait for the answer to a command, retries included. Default 200 ms. Blocking commands: their own block time + 1 s. */
  commandTimeout?: Duration;
  /** How long `onModuleInit` waits for Redis before the application goes on degraded. Default 2 s. */
  startupWait?: Duration;
}

export type RedisTarget =
  | { mode: 'absent' }
  | ({ mode: 'standalone' } & RedisEndpoint)
  | { mode: 'sentinel'; sentinels: RedisEndpoint[]; name: string }
  | { mode: 'cluster'; nodes: RedisEndpoint[] };

export interface ResolvedRedisOptions {
  target: RedisTarget;
  username?: string;
  password?: string;
  db: number;
  tls?: ConnectionOptions;
  sentinelUsername?: string;
  sentinelPassword?: string;
  /** Milliseconds. */
  commandTimeout: number;
  /** Milliseconds. */
  startupWait: number;
}

export const DEFAULT_COMMAND_TIMEOUT = 200;
export const DEFAULT_STARTUP_WAIT = 2000;
const WHERE = 'RedisModule';

/** @throws {OptionsError} naming the option, its rule and the value; a URL is never repeated, it may hold a password. */
export function resolveRedisOptions(o: RedisOptions = {}): ResolvedRedisOptions {
  const ways = (['url', 'host', 'sentinels', 'clusterNodes'] as const).filter((name) => o[name] !== undefined);
  if (ways.length > 1) throw new OptionsError(ways.join(' and '), 'given one at a time', ways.length, WHERE);
  const url = o.url === undefined ? undefined : parseRedisUrl(o.url);
  if (url && 'problem' in url) throw new OptionsError('url', url.problem, '(not shown)', WHERE);
  const target = targetOf(o, url);
  const db = o.db ?? url?.db ?? 0;
  if (!Number.isInteger(db) || db < 0) throw new OptionsError('db', 'an integer from 0', db, WHERE);
  if (target.mode === 'cluster' && db !== 0) throw new OptionsError('db', '0 on a Cluster', db, WHERE);
  const tls = o.tls ?? url?.tls;
  return {
    target,
    username: o.username ?? url?.username,
    password: o.password ?? url?.password,
    db,
    tls: tls ? (tls === true ? {} : tls) : undefined,
    sentinelUsername: o.sentinelUsername,
    sentinelPassword: o.sentinelPassword,
    commandTimeout: toMs('commandTimeout', o.commandTimeout ?? DEFAULT_COMMAND_TIMEOUT, { where: WHERE }),
    startupWait: toMs('startupWait', o.startupWait ?? DEFAULT_STARTUP_WAIT, { min: 0, where: WHERE }),
  };
}

function targetOf(o: RedisOptions, url: RedisEndpoint | undefined): RedisTarget {
  if (o.sentinels) {
    if (!o.sentinelName) throw new OptionsError('sentinelName', 'the name of the master', o.sentinelName, WHERE);
    return { mode: 'sentinel', sentinels: endpoints('sentinels', o.sentinels), name: o.sentinelName };
  }
  if (o.clusterNodes) return { mode: 'cluster', nodes: endpoints('clusterNodes', o.clusterNodes) };
  if (url) return { mode: 'standalone', host: url.host, port: url.port };
  if (o.host === undefined) return { mode: 'absent' };
  return { mode: 'standalone', ...endpoint('host', { host: o.host, port: o.port ?? 6379 }) };
}

function endpoints(option: string, list: RedisEndpoint[]): RedisEndpoint[] {
  if (!Array.isArray(list) || list.length === 0)
    throw new OptionsError(option, 'a list of { host, port }', list, WHERE);
  return list.map((each, i) => endpoint(`${option}[${i}]`, each));
}

function endpoint(option: string, { host, port }: RedisEndpoint): RedisEndpoint {
  if (typeof host !== 'string' || host.trim() === '') throw new OptionsError(option, 'a host name', host, WHERE);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new OptionsError(option === 'host' ? 'port' : `${option}.port`, 'an integer 1..65535', port, WHERE);
  return { host, port };
}

const list = (all: RedisEndpoint[]) => all.map(({ host, port }) => `${host}:${port}`).join(', ');

/** Where Redis is, for a log line; holds no secret. */
export function describeTarget(target: RedisTarget): string {
  if (target.mode === 'absent') return 'none';
  if (target.mode === 'standalone') return list([target]);
  return target.mode === 'sentinel'
    ? `master ${target.name} of Sentinels ${list(target.sentinels)}`
    : `Cluster ${list(target.nodes)}`;
}
