import type { ConnectionOptions } from 'node:tls';
import { type Duration, integerOption, OptionsError, toMs } from '@yuxi/core';
import type { Cluster, ClusterOptions, Redis } from 'ioredis';
import type { RedisClient } from './redis.tokens.js';

export interface RedisEndpoint {
  host: string;
  port: number;
}

/** Set exactly one of `url`, `host`, `sentinels`, `clusterNodes`. Without any of them there is no Redis. */
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
  /** Timeout of a command, its retry included. Default 200 ms. Blocking commands: their own block time + 1 s. */
  commandTimeout?: Duration;
  /** How long `onModuleInit` waits for Redis before the application starts without it. Default 2 s. */
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

const DEFAULT_COMMAND_TIMEOUT = 200;
const DEFAULT_STARTUP_WAIT = 2000;
const WHERE = 'RedisModule';

/** @throws {OptionsError} naming the option, its rule and the value; a URL is never repeated, as it may contain a password */
export function resolveRedisOptions(o: RedisOptions = {}): ResolvedRedisOptions {
  const ways = (['url', 'host', 'sentinels', 'clusterNodes'] as const).filter((name) => o[name] !== undefined);
  if (ways.length > 1) throw new OptionsError(ways.join(' and '), 'given one at a time', ways.length, WHERE);
  const url = o.url === undefined ? undefined : parseRedisUrl(o.url);
  if (url && 'problem' in url) throw new OptionsError('url', url.problem, '(not shown)', WHERE);
  const target = targetOf(o, url);
  const db = integerOption('db', o.db ?? url?.db ?? 0, { min: 0, where: WHERE });
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
  integerOption(option === 'host' ? 'port' : `${option}.port`, port, { max: 65_535, where: WHERE });
  return { host, port };
}

const list = (all: RedisEndpoint[]) => all.map(({ host, port }) => `${host}:${port}`).join(', ');

/** Where Redis is, for a log line; contains no secret. */
export function describeTarget(target: RedisTarget): string {
  if (target.mode === 'absent') return 'none';
  if (target.mode === 'standalone') return list([target]);
  return target.mode === 'sentinel'
    ? `master ${target.name} of Sentinels ${list(target.sentinels)}`
    : `Cluster ${list(target.nodes)}`;
}

export interface RedisUrl {
  host: string;
  port: number;
  username?: string;
  password?: string;
  db?: number;
  tls: boolean;
}

const problem = (rule: string) => ({ problem: rule });

/** Parses `redis[s]://[user:password@]host[:port][/db]`. A problem never repeats the text, which may contain a password. */
export function parseRedisUrl(text: string): RedisUrl | { problem: string } {
  if (!/^rediss?:\/\//i.test(text)) return problem('a URL that starts with redis:// or rediss://');
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return problem('a URL like redis://user:password@host:6379/0 with a port 1..65535 (percent-encode the password)');
  }
  const port = url.port === '' ? 6379 : Number(url.port);
  if (port < 1) return problem('a URL with a port 1..65535');
  if (url.hostname === '') return problem('a URL that names a host');
  if (url.search || url.hash) return problem('a URL without ? and # (percent-encode them in a password)');
  const path = url.pathname.replace(/^\//, '');
  if (!/^\d{0,5}$/.test(path)) return problem('a URL whose path is a database number, like /0');
  try {
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      username: decodeURIComponent(url.username) || undefined,
      password: decodeURIComponent(url.password) || undefined,
      db: path === '' ? undefined : Number(path),
      tls: url.protocol === 'rediss:',
    };
  } catch {
    return problem('a URL whose user and password are percent-encoded');
  }
}

/** Endpoints and login of an ioredis client that the application has made itself. */
export function optionsOf(client: RedisClient): RedisOptions {
  return client.isCluster ? optionsOfCluster(client as Cluster) : optionsOfSingle((client as Redis).options);
}

function optionsOfSingle(options: Redis['options']): RedisOptions {
  const { host, port, db, sentinels, name, sentinelUsername, sentinelPassword } = options;
  const login = loginOf(options);
  if (!sentinels?.length) return { host: host ?? 'localhost', port: port ?? 6379, db, ...login };
  const all = sentinels.map((each) => ({ host: each.host ?? 'localhost', port: each.port ?? 26_379 }));
  const account = { sentinelUsername, sentinelPassword: sentinelPassword ?? undefined };
  return { sentinels: all, sentinelName: name, db, ...account, ...login };
}

function optionsOfCluster(client: Cluster): RedisOptions {
  // Private in the types of ioredis, but before the first connection they are nowhere else.
  const { startupNodes, options } = client as unknown as {
    startupNodes: readonly (string | number | Partial<RedisEndpoint>)[];
    options: ClusterOptions;
  };
  return { clusterNodes: startupNodes.map(endpointOf), ...loginOf(options.redisOptions ?? {}) };
}

function endpointOf(node: string | number | Partial<RedisEndpoint>): RedisEndpoint {
  if (typeof node === 'number') return { host: 'localhost', port: node };
  if (typeof node === 'object') return { host: node.host ?? 'localhost', port: node.port ?? 6379 };
  const { hostname, port } = new URL(node.includes('://') ? node : `redis://${node}`);
  return { host: hostname, port: Number(port || 6379) };
}

function loginOf({ username, password, tls }: Partial<Redis['options']>): RedisOptions {
  return { username: username ?? undefined, password: password ?? undefined, tls: tls && { ...tls } };
}
