import { Command } from 'ioredis';
import type { RedisClient } from './redis.tokens.js';
import type { Script, ScriptArgument } from './script.js';

export interface ScriptBatchOptions {
  /** Arguments that precede those of the operations; asked for once per script. Default none. */
  common?: () => readonly ScriptArgument[];
  /** Keys that precede those of the operations, in the slot of them all. Default none. */
  commonKeys?: readonly string[];
  /**
   * Most operations in one script, default 16. While Redis works on one script the client writes the next one, and nobody
   * else waits long for either.
   */
  perScript?: number;
  /** The script answers a single operation without a list around the answer, which spares what most calls are. Default `false`. */
  alone?: boolean;
  /**
   * The script answers with one element more, which belongs to all operations: each resolves with `[answer, shared]`.
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
 * Sends operations of one kind; all of one turn of the event loop travel in one script. It gets the keys of all operations,
 * the common arguments and then those of each operation, and must answer with one element for each of them.
 * An operation that finds no script under way leaves when the running callback ends; others wait for the end of the turn, so that
 * requests which come in on many connections travel together.
 * Operations on the same key are carried out in the order in which they were sent. An error reply rejects all that travelled
 * together. On a Cluster the keys of one operation must share a slot; operations of different slots travel apart.
 */
export class ScriptBatch {
  readonly #common: () => readonly ScriptArgument[];
  readonly #commonKeys: readonly string[];
  readonly #perScript: number;
  readonly #alone: boolean;
  readonly #shared: boolean;
  #pending: Operation[] = [];
  #underWay = 0;

  constructor(
    private readonly client: RedisClient,
    private readonly script: Script,
    { common = () => [], commonKeys = [], perScript = 16, alone = false, shared = false }: ScriptBatchOptions = {},
  ) {
    this.#common = common;
    this.#commonKeys = commonKeys;
    this.#perScript = perScript;
    this.#alone = alone;
    this.#shared = shared;
  }

  /**
   * @param read makes the result of the answer; what it throws rejects. Default: the answer itself.
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
      // After the microtasks, so that what the answers of one script set off goes together again; a full script at once, so that
      // Redis works on it meanwhile.
      const pending = this.#pending.push({ keys, args, resolve, reject });
      if (pending === this.#perScript) this.#flush();
      else if (pending === 1 && this.#underWay === 0) process.nextTick(this.#flush);
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
    this.#underWay++;
    try {
      const all = [...this.#commonKeys];
      const args = [...this.#common()];
      for (const operation of batch) {
        for (const key of operation.keys) all.push(key);
        for (const arg of operation.args) args.push(arg);
      }
      const answer = await this.script.run(this.client, all, args);
      const answers = this.#alone && batch.length === 1 ? [answer] : (answer as unknown[]);
      const shared = answers[batch.length];
      for (let i = 0; i < batch.length; i++) batch[i]!.resolve(this.#shared ? [answers[i], shared] : answers[i]);
    } catch (error) {
      for (const operation of batch) operation.reject(error);
    } finally {
      this.#underWay--;
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
