import { randomBytes } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { monotonicMs, OptionsError } from '@yuxi/core';
import { defineScript } from '@yuxi/redis';
import { retryAfterSeconds } from '../http/limit-headers.js';
import { TooManyAttemptsError } from '../http/limiter.errors.js';
import type { Decision } from '../limiter.decision.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from '../limiter.options.js';
import { LimiterService } from '../limiter.service.js';
import { PolicyBook } from '../policies/policy-book.js';
import { LimiterLink } from '../redis/limiter-link.js';
import { LOGIN } from './login.policies.js';

const ADDRESS = /^[0-9A-Za-z.:/_-]{1,64}$/;
const ALARM_EVERY_MS = 60_000;
const RESERVE = defineScript('login-reserve', new URL('../lua/login-reserve.lua', import.meta.url), 2);
const REFUND = defineScript('login-refund', new URL('../lua/login-refund.lua', import.meta.url), 2);

/** The account that a login attempt is for. */
export interface LoginTarget {
  /** The account in one spelling, whichever name was typed. When there is no such account, a hash of the typed name. */
  account: string;
  /** A device from which the owner has logged in to this account before. The caller has verified this. */
  device?: string;
}

/** A reservation in the counter that other systems share. */
interface SharedAttempt {
  /** Milliseconds until the next attempt is possible; 0: this one was counted. */
  retryMs: number;
  /** Refunds the attempt. Later calls do nothing. Never rejects. */
  refund(): Promise<void>;
}

const NOT_COUNTED: SharedAttempt = { retryMs: 0, refund: () => Promise.resolve() };

/**
 * The plain counter `yuxi:login_attempts:<address>`, which Python replicas also increment and read. Attempts count in both systems.
 * Without Redis the attempts of other systems are not counted.
 */
@Injectable()
export class SharedCounter {
  readonly #process = randomBytes(9).toString('base64url');
  #attempts = 0;

  constructor(
    private readonly link: LimiterLink,
    @Inject(PolicyBook) private readonly policies: PolicyBook,
  ) {}

  async reserve(address: string): Promise<SharedAttempt> {
    const { limit, windowUs } = this.policies.get(LOGIN.address);
    const keys = keysOf(address);
    const id = `${this.#process}.${(++this.#attempts).toString(36)}`;
    const answer = (await this.link.run(RESERVE, keys, [id, limit, windowUs / 1000])) as [number, number] | undefined;
    if (!answer) return NOT_COUNTED;
    const [reserved, retryMs] = answer;
    if (reserved === 0) return { ...NOT_COUNTED, retryMs: Math.max(1, retryMs) };
    let done: Promise<void> | undefined;
    return { retryMs: 0, refund: () => (done ??= this.link.run(REFUND, keys, [id]).then(() => undefined)) };
  }

  /** Removes the counter of an address, as a Python replica does after a successful login. */
  async reset(address: string): Promise<void> {
    await this.link.del(keysOf(address));
  }
}

/**
 * Limits password guesses by address, by account and in total. Each attempt is reserved before the password is verified, so that
 * parallel guesses cannot exceed the limits. It is refunded when it was not a wrong guess.
 */
@Injectable()
export class LoginProtection {
  readonly #log = new Logger('Limiter');
  #alarmAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly limiter: LimiterService,
    private readonly shared: SharedCounter,
    @Inject(LIMITER_OPTIONS) private readonly options: LimiterModuleOptions,
  ) {}

  /**
   * Counts one attempt of an address. {@link LoginAttempt.against} counts it for the account too.
   * @param address as `clientAddress` gives it
   * @throws {TooManyAttemptsError} the limit of the address is reached
   * @throws {OptionsError} not an address
   */
  async reserveAttempt(address: string): Promise<LoginAttempt> {
    if (!ADDRESS.test(address))
      throw new OptionsError('address', 'an IP address or prefix', address, 'LoginProtection');
    const decision = await this.#consume([{ policy: LOGIN.address, key: address }]);
    // After our own limit, because attempts of other systems may have used up the rest of it.
    const shared = await this.shared.reserve(address);
    if (shared.retryMs > 0) {
      await this.limiter.refund(decision);
      throw new TooManyAttemptsError(retryAfterSeconds({ retryAfterMs: shared.retryMs }));
    }
    return new LoginAttempt(this, address, async () => {
      // In the opposite order. Otherwise an attempt could pass our limit and be refused by the shared one.
      await shared.refund();
      await this.limiter.refund(decision);
    });
  }

  /** @throws {TooManyAttemptsError} the account has to wait */
  async admit(address: string, { account, device }: LoginTarget): Promise<Decision[]> {
    const own =
      device === undefined
        ? [
            { policy: LOGIN.pair, key: pairOf(address, account) },
            { policy: LOGIN.account, key: account },
          ]
        : [{ policy: LOGIN.device, key: device }];
    const decision = await this.#consume([...own, { policy: LOGIN.global, key: 'all' }]);
    if (decision.limits.at(-1)!.allowed || device !== undefined) return [decision];
    this.#alarm();
    try {
      return [decision, await this.#consume([{ policy: LOGIN.strict, key: address }])];
    } catch (error) {
      await this.limiter.refund(decision);
      throw error;
    }
  }

  /** After a successful login: resets the failures of the account. Those of the address stay. */
  async forget(address: string, { account, device }: LoginTarget): Promise<void> {
    const resets: Promise<unknown>[] = [this.limiter.reset(LOGIN.account, account)];
    resets.push(this.limiter.reset(LOGIN.pair, pairOf(address, account)));
    if (device !== undefined) resets.push(this.limiter.reset(LOGIN.device, device));
    if (this.options.login?.successClearsAddress)
      resets.push(this.shared.reset(address), this.limiter.reset(LOGIN.address, address));
    await Promise.all(resets);
  }

  /**
   * Allows a refused client again. Works for every policy, also for those that are not about logins.
   * @returns `true`: in effect in all processes; `false`: Redis is unavailable, in effect here now and everywhere on its return
   */
  async reset(policy: string, key: string): Promise<boolean> {
    if (policy === LOGIN.address) await this.shared.reset(key);
    return this.limiter.reset(policy, key);
  }

  async takeBack(decisions: readonly Decision[]): Promise<void> {
    await Promise.all(decisions.map((decision) => this.limiter.refund(decision)));
  }

  async #consume(hits: { policy: string; key: string }[]): Promise<Decision> {
    const decision = await this.limiter.consume(hits);
    if (!decision.allowed) throw new TooManyAttemptsError(retryAfterSeconds(decision));
    return decision;
  }

  #alarm(): void {
    if (monotonicMs() - this.#alarmAt < ALARM_EVERY_MS) return;
    this.#alarmAt = monotonicMs();
    this.#log.warn('Unusually many failed logins: addresses without a known device have 3 attempts a minute');
  }
}

/** One login attempt. It stays counted until `succeeded` or `refund` is called. */
export class LoginAttempt {
  #target: LoginTarget | undefined;
  #decisions: readonly Decision[] = [];
  #settled: Promise<void> | undefined;

  constructor(
    private readonly protection: LoginProtection,
    readonly address: string,
    private readonly takeBackAddress: () => Promise<void>,
  ) {}

  /**
   * Counts the attempt for the account too. Call it before the password is verified.
   * @throws {TooManyAttemptsError} the account has to wait
   */
  async against(target: LoginTarget): Promise<void> {
    this.#decisions = await this.protection.admit(this.address, target);
    this.#target = target;
  }

  /** The password was right: takes this attempt back, and resets earlier failures of the account. Later calls do nothing. */
  succeeded(): Promise<void> {
    return this.#settle(async () => {
      if (this.#target) await this.protection.forget(this.address, this.#target);
    });
  }

  /** No password was verified: takes this attempt back. Later calls do nothing. */
  refund(): Promise<void> {
    return this.#settle(async () => undefined);
  }

  #settle(then: () => Promise<void>): Promise<void> {
    return (this.#settled ??= (async () => {
      await Promise.all([this.takeBackAddress(), this.protection.takeBack(this.#decisions)]);
      await then();
    })());
  }
}

function pairOf(address: string, account: string): string {
  return `${address} ${account}`;
}

function keysOf(address: string): string[] {
  const counter = `yuxi:login_attempts:${address}`;
  return [counter, `yuxi:limit:{${counter}}:log`];
}
