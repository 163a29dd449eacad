import { jitter, monotonicMs } from '@yuxi/core';
import type { ClusterOptions, RedisOptions as IoRedisOptions } from 'ioredis';
import type { ResolvedRedisOptions } from './redis.options.js';

/** `command`: short commands. `subscriber`: SUBSCRIBE. `blocking`: XREADGROUP BLOCK, BRPOP, which hold up their connection. */
export type ConnectionRole = 'command' | 'subscriber' | 'blocking';

const CONNECT_TIMEOUT = 800;
const SLOTS_TIMEOUT = 500;
/** A peer that hangs never answers our FIN: do not wait for it before the next attempt. */
export const DISCONNECT_TIMEOUT = 100;
const LONGEST_RETRY_DELAY = 250;
const MOVED_INTERVAL = 500;

/** 20, 40, 80, 160, 250, 250 ... ms, each moved by up to a fifth so that replicas do not knock in step. */
export function retryDelay(times: number): number {
  return Math.round(jitter(Math.min(20 * 2 ** (times - 1), LONGEST_RETRY_DELAY)));
}

/** What every connection shares. Command timeouts are not here: the guard measures them. */
function common(o: ResolvedRedisOptions, name: string) {
  return {
    username: o.username,
    password: o.password,
    tls: o.tls,
    connectionName: name.replace(/[^\w:.-]/g, '-'),
    connectTimeout: CONNECT_TIMEOUT,
    disconnectTimeout: DISCONNECT_TIMEOUT,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    maxLoadingRetryTime: LONGEST_RETRY_DELAY,
  } satisfies IoRedisOptions;
}

/** Options of one connection to a server; which one it is, its connector may know better. */
export function singleOptions(o: ResolvedRedisOptions, name: string): IoRedisOptions {
  const options: IoRedisOptions = {
    ...common(o, name),
    db: o.db,
    enableOfflineQueue: false,
    retryStrategy: retryDelay,
    reconnectOnError: reconnectIfMoved(),
  };
  if (o.target.mode !== 'standalone') return options;
  return { ...options, host: o.target.host, port: o.target.port };
}

/** @param onReason told why an attempt failed, where ioredis emits no event for it. */
export function clusterOptions(
  o: ResolvedRedisOptions,
  name: string,
  role: ConnectionRole,
  connector: IoRedisOptions['Connector'],
  onReason: (error: Error) => void,
): ClusterOptions {
  return {
    enableOfflineQueue: false,
    clusterRetryStrategy: (times, reason) => {
      if (reason) onReason(reason);
      return retryDelay(times);
    },
    maxRedirections: 8,
    retryDelayOnFailover: 50,
    retryDelayOnClusterDown: 50,
    slotsRefreshTimeout: SLOTS_TIMEOUT,
    redisOptions: {
      ...common(o, name),
      Connector: connector,
      // Node connections are not guarded one by one; a blocking one may wait for longer.
      commandTimeout: role === 'blocking' ? undefined : Math.max(o.commandTimeout, LONGEST_RETRY_DELAY),
    },
  };
}

/**
 * After a failover the address may lead to the new master: connect again; the guard repeats the command. A server that stays
 * read-only must not be knocked at all the time.
 */
function reconnectIfMoved(): (error: Error) => 1 | false {
  let last = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (!isMoved(error) || monotonicMs() - last < MOVED_INTERVAL) return false;
    last = monotonicMs();
    return 1;
  };
}

/** Replies that mean "this is not the server for the command, but another connection may lead to one". */
export function isMoved(error: Error): boolean {
  return /^(READONLY|LOADING)\b/.test(error.message);
}
