import { defineScript, type RedisClient, ScriptBatch } from '@yuxi/redis';

const LOCKS = defineScript('locks', new URL('../../lua/locks.lua', import.meta.url));

/** A process that waits is known to live for so long after its last word, milliseconds. */
export const LEASE_MS = constant('LEASE');
/** Longest ttl of a lock that was handed to a waiter, until the waiter renews it, milliseconds. */
export const PROVISIONAL_MS = constant('PROVISIONAL');

/** `again` is `acquire` for a token that may be queued or granted already. */
export type Operation = 'acquire' | 'again' | 'release' | 'renew' | 'cancel' | 'pump' | 'force';

/**
 * Sends operations on locks; all of one turn of the event loop travel in one script. One script for each lock costs a
 * client half as much again as the plain commands would; together they cost less.
 */
export class LockWire {
  readonly #batch: ScriptBatch;

  constructor(redis: RedisClient) {
    this.#batch = new ScriptBatch(redis, LOCKS, { unwrapSingle: true });
  }

  /** @param token for `pump` the process */
  send(operation: Operation, key: string, token = '', ttlMs = 0, waitMs = 0): Promise<unknown> {
    return this.#batch.send([key], [operation, token, ttlMs, waitMs]);
  }
}

/** Said once, in the script that lives by it. */
function constant(name: string): number {
  const value = new RegExp(`^local ${name} = (\\d+)`, 'm').exec(LOCKS.source)?.[1];
  if (value === undefined) throw new Error(`locks.lua says no ${name}`);
  return Number(value);
}
