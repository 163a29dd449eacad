import { Injectable, Logger } from '@nestjs/common';
import { AuditLog, userTarget } from '../audit/index.js';
import { badCredentials, unauthorized } from './auth.errors.js';
import type { TokenBody } from './auth.schemas.js';
import { sessionOf, type Caller } from './caller.js';
import { Devices } from './devices.js';
import { LoginLimits, type LoginEntry } from './login-limits.js';
import { Passwords } from './passwords/passwords.js';
import { Sessions } from './sessions/sessions.js';
import { toTokenView } from './user.views.js';
import { UserStore, type StoredUser } from './user.store.js';

/** Turns a name and a password, or a refresh token, into tokens. */
@Injectable()
export class LoginService {
  private readonly logger = new Logger(LoginService.name);

  constructor(
    private readonly users: UserStore,
    private readonly passwords: Passwords,
    private readonly sessions: Sessions,
    private readonly limits: LoginLimits,
    private readonly devices: Devices,
    private readonly audit: AuditLog,
  ) {}

  /**
   * @returns the token answer, and a cookie that marks the device
   * @throws {ApiError} 401, the same in text and time for a wrong password, an unknown and a deleted user
   * @throws {TooManyAttemptsError} the account has to wait
   */
  async login({ username, password }: TokenBody, entry: LoginEntry) {
    const user = await this.users.byLogin(username);
    await this.limits.login(entry, user, username);
    const fits = await this.passwords.verify(user?.passwordHash, password);
    const answer = user && fits ? await this.open(user) : undefined;
    if (user && answer) {
      await this.strengthen(user, password);
      return { answer, deviceCookie: this.devices.cookieFor(user) };
    }
    // What was typed as a name may be a password, so it is not written down.
    this.logger.warn(`Login refused: ${user ? `wrong password of user ${user.id}` : 'no such user'}`);
    this.audit.record({
      action: 'login',
      outcome: 'refused',
      target: user && userTarget(user.id),
      details: { reason: user ? 'wrong password' : 'no such user' },
    });
    throw badCredentials();
  }

  /** The token answer for a user whose identity is established. */
  async answerFor(id: number) {
    const user = await this.users.byId(id);
    const answer = user && (await this.open(user));
    if (!answer) throw badCredentials();
    return answer;
  }

  /** @throws {ApiError} 401, 409 as {@link Sessions.refresh} */
  async refresh(refreshToken: string) {
    const { userId, ...grant } = await this.sessions.refresh(refreshToken);
    const user = await this.users.byId(userId);
    if (!user) throw unauthorized();
    return toTokenView(grant, user);
  }

  /** Ends the caller's session, or all of the caller's sessions. */
  async logout(caller: Caller, everywhere: boolean): Promise<void> {
    if (everywhere) await this.sessions.endAll(caller.id);
    else await this.sessions.end(sessionOf(caller));
    this.audit.record({ action: 'logout', actor: caller.id, target: userTarget(caller.id), details: { everywhere } });
  }

  /** Replaces a hash of an older kind, now that the password is at hand. No reason to fail a login. */
  private async strengthen(user: StoredUser, password: string): Promise<void> {
    try {
      const stronger = await this.passwords.strengthened(user.passwordHash, password);
      if (stronger) await this.users.replaceHash(user, stronger);
    } catch (error) {
      this.logger.warn(`The hash of user ${user.id} was not renewed: ${(error as Error).message}`);
    }
  }

  private async open(user: StoredUser) {
    const grant = await this.sessions.open(user);
    if (!grant) return undefined;
    this.audit.record({ action: 'login', actor: user.id, target: userTarget(user.id) });
    return toTokenView(grant, user);
  }
}
