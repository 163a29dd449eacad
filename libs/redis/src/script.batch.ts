import { Command } from 'ioredis';
import type { RedisClient } from './redis.tokens.js';
import type { Script, ScriptArgument } from './script.js';

export interface ScriptBatchOptions {
  /** Returns arguments that precede those of the operations; called once per script. Default: none. */
  common?: () => readonly ScriptArgument[];
  /** Keys that precede those of the operations. On a Cluster all keys must then share one slot. Default: none. */
  commonKeys?: readonly string[];
  /**
   * Most operations in one script, default 16. While Redis runs one script the client writes the next, and commands of other
   * clients are not delayed for long.
   */
  perScript?: number;
  /** The script answers a single operation with the answer itself, not with a list of one. Default `false`. */
  unwrapSingle?: boolean;
  /**
   * The script returns one more element, which belongs to all operations: each resolves with `[answer, shared]`.
   * Default `false`.
   */
  shared?: boolean;
}

interface Operation {
  keys: readonly string[];
  args: readonly ScriptArgument[];
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/**
 * Sends operations of one kind; those of one turn of the event loop are sent in one script. The script gets the keys of all
 * operations, the common arguments, and then the arguments of each operation. It must return one element for each operation.
 *
 * When no script is running, an operation is sent at the end of the current callback. Otherwise it is sent at the end of
 * the turn, so that requests from many connections share a script.
 *
 * Operations on the same key run in the order in which they were sent. An error reply rejects all operations of the script.
 * On a Cluster the keys of one operation must share a slot; operations of different slots are sent in separate scripts.
 */
export class ScriptBatch {
  readonly #common: () => readonly ScriptArgument[];
  readonly #commonKeys: readonly string[];
  readonly #perScript: number;
  readonly #unwrapSingle: boolean;
  readonly #shared: boolean;
  #pending: Operation[] = [];
  #running = 0;

  constructor(
    private readonly client: RedisClient,
    private readonly script: Script,
    {
      common = () => [],
      commonKeys = [],
      perScript = 16,
      unwrapSingle = false,
      shared = false,
    }: ScriptBatchOptions = {},
  ) {
    this.#common = common;
    this.#commonKeys = commonKeys;
    this.#perScript = perScript;
    this.#unwrapSingle = unwrapSingle;
    this.#shared = shared;
  }

  /**
   * @param read converts the answer to the result; when it throws, the operation rejects. Default: the answer itself.
   * @throws {RedisUnavailableError} when Redis cannot serve it. After a timeout it may still have run.
   */
  send<T = unknown>(
    keys: readonly string[],
    args: readonly ScriptArgument[],
    read?: (answer: unknown) => T,
  ): Promise<T> {
    return new Promise<T>((resolveResult, reject) => {
      const resolve = (answer: unknown) => {
        if (!read) return resolveResult(answer as T);
        try {
          resolveResult(read(answer));
        } catch (error) {
          reject(error);
        }
      };
      // A full script is sent at once, so that Redis can begin. Others are sent after the microtasks, so that operations which
      // the answers of one script cause share a script again.
      const pending = this.#pending.push({ keys, args, resolve, reject });
      if (pending === this.#perScript) this.#flush();
      else if (pending === 1 && this.#running === 0) process.nextTick(this.#flush);
      else if (pending === 1) setImmediate(this.#flush);
    });
  }

  readonly #flush = (): void => {
    const pending = this.#pending;
    this.#pending = [];
    if (pending.length < 2 || !this.client.isCluster || this.#commonKeys.length > 0) return void this.#run(pending);
    for (const group of bySlot(pending)) void this.#run(group);
  };

  async #run(batch: readonly Operation[]): Promise<void> {
    if (batch.length === 0) return;
    this.#running++;
    try {
      const all = [...this.#commonKeys];
      const args = [...this.#common()];
      for (const operation of batch) {
        for (const key of operation.keys) all.push(key);
        for (const arg of operation.args) args.push(arg);
      }
      const answer = await this.script.run(this.client, all, args);
      const answers = this.#unwrapSingle && batch.length === 1 ? [answer] : (answer as unknown[]);
      const shared = answers[batch.length];
      for (let i = 0; i < batch.length; i++) batch[i]!.resolve(this.#shared ? [answers[i], shared] : answers[i]);
    } catch (error) {
      for (const operation of batch) operation.reject(error);
    } finally {
      this.#running--;
    }
  }
}

/** Cluster slot of a key, 0..16383. */
export function slotOf(key: string): number {
  return new Command('exists', [key]).getSlot();
}

function bySlot(pending: readonly Operation[]): Iterable<Operation[]> {
  const groups = new Map<number, Operation[]>();
  for (const operation of pending) {
    const slot = slotOf(operation.keys[0] ?? '');
    const group = groups.get(slot);
    if (group) group.push(operation);
    else groups.set(slot, [operation]);
  }
  return groups.values();
}
