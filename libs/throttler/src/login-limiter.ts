import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { monotonicMs, OptionsError } from '@yuxi/core';
import { defineScript } from '@yuxi/redis';
import { TooManyAttemptsError } from './limiter.errors.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions, resolveLoginLimit } from './limiter.options.js';
import { LimiterLink } from './redis/limiter-link.js';
import { MemoryLogin } from './memory/memory-login.js';

const RESERVE = defineScript('login-reserve', new URL('./lua/login-reserve.lua', import.meta.url), 2);
const REFUND = defineScript('login-refund', new URL('./lua/login-refund.lua', import.meta.url), 2);

const ADDRESS = /^[0-9A-Za-z.:/_-]{1,64}$/;

/** One attempt that counts from before the password check on. */
export interface Reservation {
  /** Takes this attempt back, after a success. Later calls do nothing. Never rejects; without Redis the attempt stays counted. */
  refund(): Promise<void>;
}

/** Limits login attempts per client address over all replicas; shares its counter with systems that only INCR it. */
@Injectable()
export class LoginLimiter {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #memory: MemoryLogin;
  readonly #boot = randomBytes(9).toString('base64url');
  #attempts = 0;

  constructor(
    private readonly redis: LimiterLink,
    @Inject(LIMITER_OPTIONS) options: LimiterModuleOptions,
  ) {
    const { limit, windowMs } = resolveLoginLimit(options.login);
    this.#limit = limit;
    this.#windowMs = windowMs;
    this.#memory = new MemoryLogin(monotonicMs, limit, windowMs);
  }

  /**
   * Counts one attempt; call it before the password is looked at. Refused attempts count for nothing.
   * @param address as `clientAddress` gives it
   * @throws {TooManyAttemptsError} the limit is reached
   * @throws {OptionsError} not an address
   */
  async reserve(address: string): Promise<Reservation> {
    if (!ADDRESS.test(address)) throw new OptionsError('address', 'an IP address or prefix', address, 'LoginLimiter');
    const counter = `yuxi:login_attempts:${address}`;
    const keys = [counter, `yuxi:limit:{${counter}}:log`];
    const id = `${this.#boot}.${(++this.#attempts).toString(36)}`;
    const answer = await this.redis.ask(RESERVE, keys, [id, this.#limit, this.#windowMs]);
    if (!answer) return this.#reserveInMemory(address);
    const [reserved, retryMs] = answer as [number, number];
    this.#settle(reserved === 1 ? undefined : retryMs, 'redis');
    return once(async () => void (await this.redis.ask(REFUND, keys, [id])));
  }

  #reserveInMemory(address: string): Reservation {
    const hit = this.#memory.reserve(address);
    this.#settle(hit.retryMs, 'shadow');
    return once(() => Promise.resolve(this.#memory.refund(address, hit.expiresAt)));
  }

  #settle(retryMs: number | undefined, source: 'redis' | 'shadow'): void {
    this.redis.metrics.decided('login', retryMs === undefined ? 'allowed' : 'refused', source);
    if (retryMs === undefined) return;
    const most = Math.ceil(this.#windowMs / 1000);
    throw new TooManyAttemptsError(Math.min(most, Math.max(1, Math.ceil(retryMs / 1000))));
  }
}

function once(refund: () => Promise<void>): Reservation {
  let done: Promise<void> | undefined;
  return { refund: () => (done ??= refund()) };
}
