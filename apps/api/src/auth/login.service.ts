import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Injectable, Logger, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { YuxiError } from '@yuxi/core';
import { TooManyAttemptsError, type LoginAttempt, type LoginRequest } from '@yuxi/throttler';
import { catchError, from, map, mergeMap, throwError, type Observable } from 'rxjs';
import { AuditLog, userTarget } from '../audit/index.js';
import { badCredentials, unauthorized } from './auth.errors.js';
import { toTokenView, type TokenBody } from './auth.schemas.js';
import { sessionOf, type Caller } from './caller.js';
import { Passwords } from './passwords.js';
import { Sessions } from './sessions.js';
import { UserStore, type StoredUser } from './user.store.js';

const COOKIE_NAME = 'yuxi_device';
const COOKIE_VALUE = /^([1-9]\d{0,9})\.([\w-]{22})\.([\w-]{43})$/;
const COOKIE_LIFE_S = 180 * 86_400;

/** Codes of the errors after which the attempt counts as a wrong guess. */
const GUESSES: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'WRONG_PASSWORD']);

/** The part of an HTTP request that a login uses. */
export interface LoginHttpRequest extends LoginRequest {
  headers: { cookie?: string };
}

/**
 * Cookies that mark a device on which a user has logged in. Wrong guesses from elsewhere make the account wait, but not on
 * such a device. The cookie grants nothing else, and a new password makes it invalid.
 */
export class DeviceCookies {
  readonly #key: Buffer;

  constructor(secret: string) {
    this.#key = createHmac('sha256', secret).update('yuxi device cookie').digest();
  }

  /** Value of `Set-Cookie` for the device on which the user has logged in. */
  cookieFor(user: Pick<StoredUser, 'id' | 'tokenVersion'>): string {
    const nonce = randomBytes(16).toString('base64url');
    const value = `${user.id}.${nonce}.${this.#sign(user, nonce)}`;
    return `${COOKIE_NAME}=${value}; Path=/api/auth; Max-Age=${COOKIE_LIFE_S}; HttpOnly; Secure; SameSite=Strict`;
  }

  /** @returns the device, if the cookie was made for this user and the current password */
  read(cookies: string | undefined, user: Pick<StoredUser, 'id' | 'tokenVersion'>): string | undefined {
    for (const cookie of (cookies ?? '').split(';')) {
      const [name, value = ''] = cookie.trim().split('=', 2);
      const [, id, nonce = '', mac = ''] = (name === COOKIE_NAME && COOKIE_VALUE.exec(value)) || [];
      if (id === String(user.id) && isEqual(mac, this.#sign(user, nonce))) return `${id}.${nonce}`;
    }
    return undefined;
  }

  #sign({ id, tokenVersion }: Pick<StoredUser, 'id' | 'tokenVersion'>, nonce: string): string {
    return createHmac('sha256', this.#key).update(`${id} ${tokenVersion} ${nonce}`).digest('base64url');
  }
}

/** Counts an attempt against its account before the password is checked. */
@Injectable()
export class LoginLimits {
  constructor(
    private readonly devices: DeviceCookies,
    private readonly audit: AuditLog,
  ) {}

  /**
   * @param name as it was typed. Names without a user are counted like those with one
   * @throws {TooManyAttemptsError} the account has to wait
   */
  async countLogin({ loginAttempt, headers }: LoginHttpRequest, user: StoredUser | undefined, name: string) {
    const device = user && this.devices.read(headers.cookie, user);
    const account = user ? accountOf(user.id) : `name:${createHash('sha256').update(name).digest('base64url')}`;
    await this.#count(loginAttempt, { account, device }, user?.id);
  }

  /** For a logged-in user who enters the password again. @throws {TooManyAttemptsError} */
  async countConfirmation({ loginAttempt }: LoginRequest, caller: Caller): Promise<void> {
    const device = `session:${sessionOf(caller).id}`;
    await this.#count(loginAttempt, { account: accountOf(caller.id), device }, caller.id);
  }

  async #count(
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

/**
 * Refunds the counted attempt unless a password was checked and found wrong. A success, a malformed request and an error
 * of the server are not guesses.
 */
@Injectable()
export class LoginOutcomeInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { loginAttempt } = context.switchToHttp().getRequest<LoginRequest>();
    const settled = (how: 'succeeded' | 'refund') => from(loginAttempt?.[how]() ?? Promise.resolve());
    return next.handle().pipe(
      catchError((error: unknown) => {
        const isGuess = error instanceof YuxiError && GUESSES.has(error.code);
        const failure = throwError(() => error);
        return isGuess ? failure : settled('refund').pipe(mergeMap(() => failure));
      }),
      mergeMap((response: unknown) => settled('succeeded').pipe(map(() => response))),
    );
  }
}

/** Exchanges a name and a password, or a refresh token, for tokens. */
@Injectable()
export class LoginService {
  readonly #log = new Logger(LoginService.name);

  constructor(
    private readonly users: UserStore,
    private readonly passwords: Passwords,
    private readonly sessions: Sessions,
    private readonly limits: LoginLimits,
    private readonly devices: DeviceCookies,
    private readonly audit: AuditLog,
  ) {}

  /**
   * @returns the tokens, and a cookie that marks the device
   * @throws {ApiError} 401, with the same text and timing for a wrong password, an unknown and a deleted user
   * @throws {TooManyAttemptsError} the account has to wait
   */
  async login({ username, password }: TokenBody, request: LoginHttpRequest) {
    const user = await this.users.byLogin(username);
    await this.limits.countLogin(request, user, username);
    const isCorrect = await this.passwords.verify(user?.passwordHash, password);
    const tokens = user && isCorrect ? await this.#open(user) : undefined;
    if (user && tokens) {
      await this.#rehash(user, password);
      return { tokens, deviceCookie: this.devices.cookieFor(user) };
    }
    // The typed name may be a password by mistake, so it is not logged.
    this.#log.warn(`Login refused: ${user ? `wrong password of user ${user.id}` : 'no such user'}`);
    this.audit.record({
      action: 'login',
      outcome: 'refused',
      target: user && userTarget(user.id),
      details: { reason: user ? 'wrong password' : 'no such user' },
    });
    throw badCredentials();
  }

  /** Opens a session for a user who is already identified. */
  async openFor(id: number) {
    const user = await this.users.byId(id);
    const tokens = user && (await this.#open(user));
    if (!tokens) throw badCredentials();
    return tokens;
  }

  /** @throws {ApiError} 401, 409 as {@link Sessions.refresh} */
  async refresh(refreshToken: string) {
    const { userId, ...grant } = await this.sessions.refresh(refreshToken);
    const user = await this.users.byId(userId);
    if (!user) throw unauthorized();
    return toTokenView(grant, user);
  }

  /** Ends the session of the caller, or all of the caller's sessions. */
  async logout(caller: Caller, everywhere: boolean): Promise<void> {
    if (everywhere) await this.sessions.endAll(caller.id);
    else await this.sessions.end(sessionOf(caller));
    this.audit.record({ action: 'logout', actor: caller.id, target: userTarget(caller.id), details: { everywhere } });
  }

  /** Replaces a weak or legacy hash while the password is known. A failure does not fail the login. */
  async #rehash(user: StoredUser, password: string): Promise<void> {
    try {
      const stronger = await this.passwords.strengthened(user.passwordHash, password);
      if (stronger) await this.users.replaceHash(user, stronger);
    } catch (error) {
      this.#log.warn(`The hash of user ${user.id} was not renewed: ${(error as Error).message}`);
    }
  }

  async #open(user: StoredUser) {
    const grant = await this.sessions.open(user);
    if (!grant) return undefined;
    this.audit.record({ action: 'login', actor: user.id, target: userTarget(user.id) });
    return toTokenView(grant, user);
  }
}

function accountOf(userId: number): string {
  return `user:${userId}`;
}

function isEqual(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
