import { Inject, Injectable, Logger } from '@nestjs/common';
import { monotonicMs, OptionsError } from '@yuxi/core';
import { retryAfterSeconds } from '../http/limit-headers.js';
import { TooManyAttemptsError } from '../http/limiter.errors.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from '../limiter.options.js';
import { LimiterService } from '../limiter.service.js';
import type { Decision } from '../limiter.types.js';
import { LoginAttempt } from './login-attempt.js';
import { LOGIN } from './login.policies.js';
import { SharedCounter } from './shared-counter.js';

const ADDRESS = /^[0-9A-Za-z.:/_-]{1,64}$/;
const ALARM_EVERY_MS = 60_000;

/** Who tries to log in to what. */
export interface LoginTarget {
  /** The account in one spelling, whichever name was typed; the typed name, hashed, when there is none. */
  account: string;
  /** Of a device on which the owner of this account logged in before, as proved by the caller. */
  device?: string;
}

/**
 * Limits guesses of passwords by address, by account and altogether. Each attempt is reserved before the password is looked
 * at, so that parallel guesses do not outrun the limits, and taken back when it was none.
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
   * Counts one attempt of an address; for the account see {@link LoginAttempt.against}.
   * @param address as `clientAddress` gives it
   * @throws {TooManyAttemptsError} the limit of the address is reached
   * @throws {OptionsError} not an address
   */
  async knock(address: string): Promise<LoginAttempt> {
    if (!ADDRESS.test(address))
      throw new OptionsError('address', 'an IP address or prefix', address, 'LoginProtection');
    const decision = await this.#consume([{ policy: LOGIN.address, key: address }]);
    // After ours: of those that we let pass others may still have used up the place.
    const elsewhere = await this.shared.reserve(address);
    if (elsewhere.retryMs > 0) {
      await this.limiter.refund(decision);
      throw new TooManyAttemptsError(retryAfterSeconds({ retryAfterMs: elsewhere.retryMs }));
    }
    return new LoginAttempt(this, address, async () => {
      // In the opposite order, so that nobody is let in here and refused there.
      await elsewhere.refund();
      await this.limiter.refund(decision);
    });
  }

  /** @throws {TooManyAttemptsError} */
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

  /** The owner was there: failures against the account count no longer, those of the address do. */
  async forget(address: string, { account, device }: LoginTarget): Promise<void> {
    const resets: Promise<unknown>[] = [this.limiter.reset(LOGIN.account, account)];
    resets.push(this.limiter.reset(LOGIN.pair, pairOf(address, account)));
    if (device !== undefined) resets.push(this.limiter.reset(LOGIN.device, device));
    if (this.options.login?.successClearsAddress)
      resets.push(this.shared.reset(address), this.limiter.reset(LOGIN.address, address));
    await Promise.all(resets);
  }

  /**
   * Lets a client in again whom a limit refuses, whichever limit it is.
   * @returns whether that holds everywhere; `false`: Redis is away, it holds in this process and everywhere on its return
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

function pairOf(address: string, account: string): string {
  return `${address} ${account}`;
}
