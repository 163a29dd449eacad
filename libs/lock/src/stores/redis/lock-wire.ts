import { defineScript, type RedisClient } from '@yuxi/redis';

const LOCKS = defineScript('locks', new URL('../../lua/locks.lua', import.meta.url));

/** A process that waits is known to live for so long after its last word, milliseconds. */
export const LEASE_MS = 1500;
/** Longest ttl of a lock that was handed to a waiter, until the waiter renews it, milliseconds. */
export const PROVISIONAL_MS = 1500;
/** How long the last fence of a name is remembered after its last grant. */
const FENCE_TTL_MS = 7 * 86_400_000;

const SETTINGS = [LEASE_MS, PROVISIONAL_MS, FENCE_TTL_MS];
/** While Redis works on one script the client writes the next one; and nobody else waits long for either. */
const OPERATIONS_PER_SCRIPT = 16;

export type Operation = 'acquire' | 'release' | 'renew' | 'cancel' | 'pump' | 'force';

interface Pending {
  key: string;
  operation: Operation;
  token: string;
  argument: string | number;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/**
 * Sends operations on locks; all of one turn of the event loop travel in one script. One script for each lock costs a
 * client half as much again as the plain commands would; together they cost less.
 */
export class LockWire {
  #pending: Pending[] = [];

  constructor(
    private readonly redis: RedisClient,
    /** First part of every token of this process. */
    private readonly process: string,
  ) {}

  send(operation: Operation, key: string, token = '', argument: string | number = ''): Promise<unknown> {
    return new Promise((resolve, reject) => {
      // After the microtasks, so that what the answers of one script set off goes together again.
      if (this.#pending.push({ key, operation, token, argument, resolve, reject }) === 1)
        process.nextTick(() => this.#flush());
    });
  }

  #flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    if (pending.length === 1) return void this.#run(pending);
    // Keys of different locks live in different slots of a Cluster.
    const groups = this.redis.isCluster ? byKey(pending) : [pending];
    for (const group of groups)
      for (let from = 0; from < group.length; from += OPERATIONS_PER_SCRIPT)
        void this.#run(group.slice(from, from + OPERATIONS_PER_SCRIPT));
  }

  async #run(batch: readonly Pending[]): Promise<void> {
    const args: (string | number)[] = [this.process, ...SETTINGS];
    for (const { operation, token, argument } of batch) args.push(operation, token, argument);
    try {
      const keys = batch.map(({ key }) => key);
      const answers = (await LOCKS.run(this.redis, keys, args)) as unknown[];
      for (let i = 0; i < batch.length; i++) batch[i]!.resolve(answers[i]);
    } catch (error) {
      for (const each of batch) each.reject(error);
    }
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
