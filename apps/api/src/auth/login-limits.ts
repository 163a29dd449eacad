import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { TooManyAttemptsError, type LoginAttempt, type LoginRequest } from '@yuxi/throttler';
import { AuditLog, userTarget } from '../audit/index.js';
import { sessionOf, type Caller } from './caller.js';
import { Devices } from './devices.js';
import type { StoredUser } from './user.store.js';

/** What is used of a request to log in. */
export interface LoginEntry extends LoginRequest {
  headers: { cookie?: string };
}

/** Counts an attempt against the account it is about, before the password is looked at. */
@Injectable()
export class LoginLimits {
  constructor(
    private readonly devices: Devices,
    private readonly audit: AuditLog,
  ) {}

  /**
   * @param typed what was given as a name: one that nobody has is counted like one that somebody has
   * @throws {TooManyAttemptsError} the account has to wait
   */
  async login({ loginAttempt, headers }: LoginEntry, user: StoredUser | undefined, typed: string): Promise<void> {
    const device = user && this.devices.read(headers.cookie, user);
    const account = user ? accountOf(user.id) : `name:${createHash('sha256').update(typed).digest('base64url')}`;
    await this.#against(loginAttempt, { account, device }, user?.id);
  }

  /** For somebody who is logged in and gives the password again. @throws {TooManyAttemptsError} */
  async confirm({ loginAttempt }: LoginRequest, caller: Caller): Promise<void> {
    const device = `session:${sessionOf(caller).id}`;
    await this.#against(loginAttempt, { account: accountOf(caller.id), device }, caller.id);
  }

  async #against(
    attempt: LoginAttempt | undefined,
    target: Parameters<LoginAttempt['against']>[0],
    userId: number | undefined,
  ): Promise<void> {
    try {
      await attempt?.against(target);
    } catch (error) {
      if (error instanceof TooManyAttemptsError)
        this.audit.record({
          action: 'login',
          outcome: 'refused',
          target: userId === undefined ? undefined : userTarget(userId),
          details: { reason: 'too many attempts' },
        });
      throw error;
    }
  }
}

function accountOf(userId: number): string {
  return `user:${userId}`;
}
