import { defineScript, type RedisClient } from '@yuxi/redis';

const LOCKS = defineScript('locks', new URL('../../lua/locks.lua', import.meta.url));

/** While Redis works on one script the client writes the next one; and nobody else waits long for either. */
const OPERATIONS_PER_SCRIPT = 16;

/** A process that waits is known to live for so long after its last word, milliseconds. */
export const LEASE_MS = constant('LEASE');
/** Longest ttl of a lock that was handed to a waiter, until the waiter renews it, milliseconds. */
export const PROVISIONAL_MS = constant('PROVISIONAL');

/** `again` is `acquire` for a token that may be queued or granted already. */
export type Operation = 'acquire' | 'again' | 'release' | 'renew' | 'cancel' | 'pump' | 'force';

interface Pending {
  key: string;
  operation: Operation;
  /** For `pump` the process. */
  token: string;
  ttlMs: number;
  waitMs: number;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/**
 * Sends operations on locks; all of one turn of the event loop travel in one script. One script for each lock costs a
 * client half as much again as the plain commands would; together they cost less.
 */
export class LockWire {
  #pending: Pending[] = [];

  constructor(private readonly redis: RedisClient) {}

  send(operation: Operation, key: string, token = '', ttlMs = 0, waitMs = 0): Promise<unknown> {
    return new Promise((resolve, reject) => {
      // After the microtasks, so that what the answers of one script set off goes together again.
      if (this.#pending.push({ key, operation, token, ttlMs, waitMs, resolve, reject }) === 1)
        process.nextTick(() => this.#flush());
    });
  }

  #flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    if (pending.length === 1) return this.#run(pending);
    // Keys of different locks live in different slots of a Cluster.
    const groups = this.redis.isCluster ? byKey(pending) : [pending];
    for (const group of groups)
      for (let from = 0; from < group.length; from += OPERATIONS_PER_SCRIPT)
        this.#run(group.slice(from, from + OPERATIONS_PER_SCRIPT));
  }

  #run(batch: readonly Pending[]): void {
    const keys: string[] = [];
    const args: (string | number)[] = [];
    for (const { key, operation, token, ttlMs, waitMs } of batch) {
      keys.push(key);
      args.push(operation, token, ttlMs, waitMs);
    }
    LOCKS.run(this.redis, keys, args).then(
      (answer) => {
        const answers = batch.length === 1 ? [answer] : (answer as unknown[]);
        for (const [i, each] of batch.entries()) each.resolve(answers[i]);
        return undefined;
      },
      (error: unknown) => {
        for (const each of batch) each.reject(error);
      },
    );
  }
}

function byKey(pending: readonly Pending[]): Iterable<Pending[]> {
  const groups = new Map<string, Pending[]>();
  for (const each of pending) {
    const group = groups.get(each.key);
    if (group) group.push(each);
    else groups.set(each.key, [each]);
  }
  return groups.values();
}

/** Said once, in the script that lives by it. */
function constant(name: string): number {
  const value = new RegExp(`^local ${name} = (\\d+)`, 'm').exec(LOCKS.source)?.[1];
  if (value === undefined) throw new Error(`locks.lua says no ${name}`);
  return Number(value);
}
