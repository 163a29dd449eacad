import type { Decision } from '../limiter.types.js';
import type { LoginProtection, LoginTarget } from './login-protection.js';

/** One attempt to log in that counts until it turns out to be no wrong guess. */
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
   * Counts against the account too; call it before the password is looked at.
   * @throws {TooManyAttemptsError} the account has to wait
   */
  async against(target: LoginTarget): Promise<void> {
    this.#decisions = await this.protection.admit(this.address, target);
    this.#target = target;
  }

  /** The password was right: takes this attempt back, and forgets earlier failures against the account. Once. */
  succeeded(): Promise<void> {
    return this.#settle(async () => {
      if (this.#target) await this.protection.forget(this.address, this.#target);
    });
  }

  /** No password was looked at: takes this attempt back. Once. */
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
