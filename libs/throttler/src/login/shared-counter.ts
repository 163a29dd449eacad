import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { defineScript } from '@yuxi/redis';
import { PolicyBook } from '../policies/policy-book.js';
import { LimiterLink } from '../redis/limiter-link.js';
import { LOGIN } from './login.policies.js';

const RESERVE = defineScript('login-reserve', new URL('../lua/login-reserve.lua', import.meta.url), 2);
const REFUND = defineScript('login-refund', new URL('../lua/login-refund.lua', import.meta.url), 2);

export interface SharedAttempt {
  /** Milliseconds until the next attempt is possible; 0: this one was counted. */
  retryMs: number;
  /** Takes it back; later calls do nothing. Never rejects. */
  refund(): Promise<void>;
}

/**
 * The plain counter `yuxi:login_attempts:<address>` that other systems INCR and read: their attempts count here, and ours
 * there. Only with Redis; without it they cannot be known.
 */
@Injectable()
export class SharedCounter {
  readonly #boot = randomBytes(9).toString('base64url');
  #attempts = 0;

  constructor(
    private readonly link: LimiterLink,
    @Inject(PolicyBook) private readonly policies: PolicyBook,
  ) {}

  async reserve(address: string): Promise<SharedAttempt> {
    const { limit, windowUs } = this.policies.get(LOGIN.address);
    const keys = keysOf(address);
    const id = `${this.#boot}.${(++this.#attempts).toString(36)}`;
    const answer = (await this.link.ask(RESERVE, keys, [id, limit, windowUs / 1000])) as [number, number] | undefined;
    if (!answer) return NOT_ASKED;
    const [reserved, retryMs] = answer;
    if (reserved === 0) return { ...NOT_ASKED, retryMs: Math.max(1, retryMs) };
    let done: Promise<void> | undefined;
    return { retryMs: 0, refund: () => (done ??= this.link.ask(REFUND, keys, [id]).then(() => undefined)) };
  }

  /** Forgets an address, as a Python replica does after a success. */
  async reset(address: string): Promise<void> {
    await this.link.del(keysOf(address));
  }
}

const NOT_ASKED: SharedAttempt = { retryMs: 0, refund: () => Promise.resolve() };

function keysOf(address: string): string[] {
  const counter = `yuxi:login_attempts:${address}`;
  return [counter, `yuxi:limit:{${counter}}:log`];
}
