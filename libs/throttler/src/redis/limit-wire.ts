import { defineScript, type RedisClient, ScriptBatch } from '@yuxi/redis';
import type { HitIds } from './hit-ids.js';

const lua = (name: string) => new URL(`../lua/${name}.lua`, import.meta.url);
const CONSUME = defineScript('limiter-consume', ['hits', 'policy', 'consume'].map(lua));
const MANAGE = defineScript('limiter-manage', ['hits', 'policy', 'manage'].map(lua));
const THROTTLE = defineScript('limiter-throttle', ['hits', 'throttle'].map(lua));

/** Redis holds other limits than this process has worked with: they were lost. */
export function isOtherEpoch(error: unknown): boolean {
  return error instanceof Error && /^(?:ERR )?EPOCH\b/.test(error.message);
}

/** What a script answered, and the clock of the server meanwhile, microseconds. */
export type Heard<T> = [answer: T, at: number];

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
  ) {
    const options = { common: () => [ids.nonce + this.epoch], shared: true };
    this.#consume = new ScriptBatch(client, CONSUME, options);
    this.#manage = new ScriptBatch(client, MANAGE, options);
    this.#throttle = new ScriptBatch(client, THROTTLE, options);
  }

  /** @param limits as policies write them for the wire, one for each key; all keys of one Cluster slot */
  consume(keys: readonly string[], number: number, limits: string): Promise<Heard<unknown>> {
    return this.#consume.send(keys, [`${number.toString(36)} ${limits}`]) as Promise<Heard<unknown>>;
  }

  /** Milliseconds. */
  throttle(key: string, number: number, ttl: number, limit: number, block: number): Promise<Heard<number[]>> {
    return this.#throttle.send([key], [`${number.toString(36)} ${ttl} ${limit} ${block}`]) as Promise<Heard<number[]>>;
  }

  penalize(key: string, number: number, limit: string): Promise<Heard<unknown>> {
    return this.#send('a', key, number, limit);
  }

  look(key: string, limit: string): Promise<Heard<unknown>> {
    return this.#send('i', key, 0, limit);
  }

  /** @param stamp microseconds of the server when the hit was made */
  async refund(key: string, number: number, stamp: number, limit: string): Promise<boolean> {
    return (await this.#send('f', key, number, `${stamp} ${limit}`))[0] === 1;
  }

  /**
   * @param at microseconds of the server, 0: now
   * @returns time of the reset
   */
  async reset(key: string, at: number, limit: string): Promise<number> {
    return (await this.#send('r', key, 0, `${at} ${limit}`))[0];
  }

  async block(key: string, ms: number, limit: string): Promise<true> {
    await this.#send('b', key, 0, `${ms} ${limit}`);
    return true;
  }

  /** @returns hits that were missing */
  async putBack(key: string, what: string): Promise<number> {
    return (await this.#send('p', key, 0, what))[0];
  }

  #send(operation: string, key: string, number: number, what: string): Promise<Heard<number>> {
    return this.#manage.send([key], [`${operation}${number.toString(36)} ${what}`]) as Promise<Heard<number>>;
  }
}
