import { monotonicMs } from '@yuxi/core';
import { defineScript, type RedisClient, ScriptBatch } from '@yuxi/redis';
import type { HitIds } from './hit-ids.js';
import type { ServerClock } from './server-clock.js';

const lua = (name: string) => new URL(`../lua/${name}.lua`, import.meta.url);
const CONSUME = defineScript('limiter-consume', ['hits', 'policy', 'consume'].map(lua));
const MANAGE = defineScript('limiter-manage', ['hits', 'policy', 'manage'].map(lua));
const THROTTLE = defineScript('limiter-throttle', ['hits', 'throttle'].map(lua));

/** Redis holds other limits than this process has worked with: they were lost. */
export function isOtherEpoch(error: unknown): boolean {
  return error instanceof Error && /^(?:ERR )?EPOCH\b/.test(error.message);
}

/** The scripts of this library on one connection; what one turn of the event loop asks travels together. */
export class LimitWire {
  /** The epoch in which Redis must be, else it refuses. Empty: any. */
  epoch = '';
  readonly #consume: ScriptBatch;
  readonly #manage: ScriptBatch;
  readonly #throttle: ScriptBatch;

  constructor(
    readonly client: RedisClient,
    ids: HitIds,
    private readonly clock: ServerClock,
  ) {
    const options = { common: () => [ids.nonce + this.epoch] };
    this.#consume = new ScriptBatch(client, CONSUME, options);
    this.#manage = new ScriptBatch(client, MANAGE, options);
    this.#throttle = new ScriptBatch(client, THROTTLE, options);
  }

  /** @param limits as policies write them for the wire, one for each key; all keys of one Cluster slot */
  consume(keys: readonly string[], number: number, limits: string): Promise<number[]> {
    return this.#heard(this.#consume.send(keys, [`${number.toString(36)} ${limits}`]));
  }

  /** Milliseconds. */
  throttle(key: string, number: number, ttl: number, limit: number, block: number): Promise<number[]> {
    return this.#heard(this.#throttle.send([key], [`${number.toString(36)} ${ttl} ${limit} ${block}`]));
  }

  penalize(key: string, number: number, limit: string): Promise<number[]> {
    return this.#heard(this.#send('a', key, number, limit));
  }

  look(key: string, limit: string): Promise<number[]> {
    return this.#heard(this.#send('i', key, 0, limit));
  }

  /** @param stamp microseconds of the server when the hit was made */
  async refund(key: string, number: number, stamp: number, limit: string): Promise<boolean> {
    return (await this.#send('f', key, number, `${stamp} ${limit}`)) === 1;
  }

  /**
   * @param at microseconds of the server, 0: now
   * @returns time of the reset
   */
  async reset(key: string, at: number, limit: string): Promise<number> {
    return (await this.#send('r', key, 0, `${at} ${limit}`)) as number;
  }

  /** @returns time of the server */
  async block(key: string, ms: number, limit: string): Promise<number> {
    return (await this.#send('b', key, 0, `${ms} ${limit}`)) as number;
  }

  /** @returns hits that were missing */
  async putBack(key: string, what: string): Promise<number> {
    return (await this.#send('p', key, 0, what)) as number;
  }

  #send(operation: string, key: string, number: number, what: string): Promise<unknown> {
    return this.#manage.send([key], [`${operation}${number.toString(36)} ${what}`]);
  }

  /** The first element of an answer is the clock of the server. */
  async #heard(answer: Promise<unknown>): Promise<number[]> {
    const sentAt = monotonicMs();
    const values = (await answer) as number[];
    this.clock.observe(values[0]!, sentAt);
    return values;
  }
}
