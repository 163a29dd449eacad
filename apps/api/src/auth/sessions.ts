import { createSecretKey } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { AuditLog, Origin, userTarget } from '../audit/index.js';
import { refreshSuperseded, unauthorized } from './auth.errors.js';
import { AUTH_OPTIONS, checkAuthOptions, type AuthOptions } from './auth.options.js';
import { CALLER_USER, type Caller, type CallerUser, type SessionCredential } from './caller.js';
import { hashToken, isOpaqueToken, newOpaqueToken } from './opaque-token.js';

const REFRESH_PREFIX = 'yxref_';
/** A second use within this time is not taken for theft: two tabs may refresh at once, or a client may retry. */
const REUSE_GRACE_MS = 10_000;

const ISSUER = 'yuxi';
const AUDIENCE = 'yuxi-know-api';
const ALGORITHM = 'HS256';
const MAX_TOKEN_LENGTH = 2048;
const CLOCK_SKEW_S = 60;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A session is alive until it ends or expires, or its user is deleted or gets a higher version. */
const IS_ALIVE =
  's.ended_at IS NULL AND s.expires_at > now() AND s.token_version = u.token_version AND u.deleted_at IS NULL';

export interface NewSession {
  userId: number;
  /** `users.token_version` when the password was checked. */
  version: number;
  refreshHash: Buffer;
  lifeMs: number;
  clientAddress: string | null;
  userAgent: string | null;
}

/** Names a session and its user. These are the claims of an access token. */
export interface UserSession {
  /** `sessions.id`. */
  sessionId: string;
  /** `users.id`. */
  userId: number;
  /** `users.token_version` for which the session is valid. */
  version: number;
}

/** The tokens that a client receives for a session. */
export interface Grant {
  accessToken: string;
  /** Lifetime of the access token, seconds. */
  expiresIn: number;
  refreshToken: string;
}

interface Decoded {
  header: Record<string, unknown>;
  payload: Record<string, unknown>;
}

/** Signs and verifies access tokens, which are JWTs. */
export class AccessTokens {
  readonly #jwt: JwtService;
  /** Lifetime of a token, seconds. */
  readonly ttlSeconds: number;

  constructor(secret: string, ttlMs: number) {
    this.ttlSeconds = Math.floor(ttlMs / 1000);
    // Made once: given a text, the library tries to parse it as a public key for every token, which takes 0.4 ms.
    const key = createSecretKey(Buffer.from(secret));
    this.#jwt = new JwtService({
      secretOrKeyProvider: () => key,
      signOptions: { algorithm: ALGORITHM, issuer: ISSUER, audience: AUDIENCE, expiresIn: this.ttlSeconds },
      verifyOptions: { algorithms: [ALGORITHM], issuer: ISSUER, audience: AUDIENCE, complete: true },
    });
  }

  issue({ userId, version, sessionId }: UserSession): string {
    return this.#jwt.sign({ token_version: version, sid: sessionId }, { subject: String(userId) });
  }

  /** @throws {ApiError} 401, the same for every reason */
  read(token: string): UserSession {
    if (token.length > MAX_TOKEN_LENGTH) throw unauthorized();
    const { header, payload } = this.#decode(token);
    const { sub, exp, iat, sid: sessionId, token_version: version } = payload;
    const now = Date.now() / 1000;
    // This server writes two header fields only: no key id, no URL of a key, no extension.
    const isOurs = Object.keys(header).length === 2 && header['typ'] === 'JWT' && header['alg'] === ALGORITHM;
    const isTimely =
      typeof iat === 'number' &&
      typeof exp === 'number' &&
      iat <= now + CLOCK_SKEW_S &&
      exp <= now + this.ttlSeconds + CLOCK_SKEW_S;
    const userId = typeof sub === 'string' && /^[1-9]\d{0,9}$/.test(sub) ? Number(sub) : Number.NaN;
    if (!isOurs || !isTimely || !isColumnValue(userId) || !isColumnValue(version) || !isUuid(sessionId))
      throw unauthorized();
    return { userId, version, sessionId };
  }

  #decode(token: string): Decoded {
    try {
      return this.#jwt.verify<Decoded>(token);
    } catch {
      throw unauthorized();
    }
  }
}

/** Sessions and refresh tokens in the database. Most methods are one statement, so that replicas cannot interleave. */
@Injectable()
export class SessionStore {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  /** Reads session and user. The only statement of authentication by access token. */
  async caller({ userId, version, sessionId }: UserSession): Promise<Caller | undefined> {
    const { rows } = await this.sql.query<CallerUser>(
      `SELECT ${CALLER_USER} FROM sessions s JOIN users u ON u.id = s.user_id
       WHERE s.id = $1 AND u.id = $2 AND u.token_version = $3 AND ${IS_ALIVE}`,
      [sessionId, userId, version],
    );
    return rows[0] && { ...rows[0], credential: { kind: 'session', id: sessionId, version } };
  }

  /** The users of the sessions that are still alive, by session. */
  async callers(credentials: readonly SessionCredential[]): Promise<Map<string, CallerUser>> {
    const { rows } = await this.sql.query<CallerUser & { sessionId: string }>(
      `SELECT s.id AS "sessionId", ${CALLER_USER}
       FROM jsonb_to_recordset($1::jsonb) AS c(id uuid, version int), sessions s JOIN users u ON u.id = s.user_id
       WHERE s.id = c.id AND u.token_version = c.version AND ${IS_ALIVE}`,
      [JSON.stringify(credentials)],
    );
    return new Map(rows.map(({ sessionId, ...user }) => [sessionId, user]));
  }

  /** @returns the session id; undefined when the user was deleted or got another version since it was read */
  async open(session: NewSession): Promise<string | undefined> {
    const { userId, version, refreshHash, lifeMs, clientAddress, userAgent } = session;
    const { rows } = await this.sql.query<{ id: string }>(
      `WITH present AS (
         UPDATE users SET last_login = now() WHERE id = $1 AND token_version = $2 AND deleted_at IS NULL RETURNING id
       ), opened AS (
         INSERT INTO sessions (user_id, token_version, expires_at, client_address, user_agent)
         SELECT id, $2, now() + $3 * interval '1 ms', $4, $5 FROM present RETURNING id
       ), first AS (INSERT INTO refresh_tokens (hash, session_id) SELECT $6, id FROM opened)
       SELECT id FROM opened`,
      [userId, version, lifeMs, clientAddress, userAgent, refreshHash],
    );
    return rows[0]?.id;
  }

  /**
   * Marks a refresh token as used and inserts the next one. The row lock lets one of several concurrent requests succeed,
   * on any replica. The row of the session is locked first, in the same order as by a change of the password.
   */
  async rotate(used: Buffer, next: Buffer): Promise<UserSession | undefined> {
    const { rows } = await this.sql.query<UserSession>(
      `WITH session AS (
         SELECT s.id, s.user_id, s.token_version
         FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
         WHERE t.hash = $1 AND ${IS_ALIVE} FOR NO KEY UPDATE OF s
       ), used AS (
         UPDATE refresh_tokens t SET used_at = now() FROM session
         WHERE t.hash = $1 AND t.session_id = session.id AND t.used_at IS NULL RETURNING session.*
       ), next AS (INSERT INTO refresh_tokens (hash, session_id) SELECT $2, id FROM used)
       SELECT id AS "sessionId", user_id AS "userId", token_version AS version FROM used`,
      [used, next],
    );
    return rows[0];
  }

  /** Ends the session of a refresh token that was used longer ago than `graceMs`. @returns the ended session */
  async endReused(hash: Buffer, graceMs: number): Promise<UserSession | undefined> {
    const { rows } = await this.sql.query<UserSession>(
      `UPDATE sessions s SET ended_at = now() FROM refresh_tokens t, users u
       WHERE t.hash = $1 AND t.used_at <= now() - $2 * interval '1 ms' AND s.id = t.session_id AND u.id = s.user_id AND ${IS_ALIVE}
       RETURNING s.id AS "sessionId", s.user_id AS "userId", s.token_version AS version`,
      [hash, graceMs],
    );
    return rows[0];
  }

  /** Whether the refresh token was used in a session that is alive. */
  async wasUsed(hash: Buffer): Promise<boolean> {
    const { rows } = await this.sql.query(
      `SELECT FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
       WHERE t.hash = $1 AND t.used_at IS NOT NULL AND ${IS_ALIVE}`,
      [hash],
    );
    return rows.length > 0;
  }

  async end(sessionId: string): Promise<void> {
    await this.sql.query('UPDATE sessions SET ended_at = now() WHERE id = $1 AND ended_at IS NULL', [sessionId]);
  }

  async endAll(userId: number): Promise<void> {
    await this.sql.query('UPDATE users SET token_version = token_version + 1 WHERE id = $1', [userId]);
  }

  /** Moves one session to a new version, with a new refresh token. @param tx the transaction that raised the version */
  async renew(sessionId: string, version: number, refreshHash: Buffer, tx: SqlClient): Promise<void> {
    // Locks the row first: a concurrent refresh has then ended, and the next statement invalidates its new token.
    await tx.query('UPDATE sessions SET token_version = $2 WHERE id = $1', [sessionId, version]);
    await tx.query('UPDATE refresh_tokens SET used_at = now() WHERE session_id = $1 AND used_at IS NULL', [sessionId]);
    await tx.query('INSERT INTO refresh_tokens (hash, session_id) VALUES ($1, $2)', [refreshHash, sessionId]);
  }

  /** Removes up to `portion` sessions that have expired, or ended more than a day ago, with their tokens. */
  async removeEnded(portion: number): Promise<number> {
    const { rowCount } = await this.sql.query(
      `DELETE FROM sessions WHERE id IN (
         SELECT id FROM sessions WHERE expires_at < now() OR ended_at < now() - interval '1 day'
         LIMIT $1 FOR UPDATE SKIP LOCKED)`,
      [portion],
    );
    return rowCount;
  }
}

/** Opens, refreshes and ends sessions. A login opens one; a logout, a new password or its age ends it. */
@Injectable()
export class Sessions {
  readonly #lifeMs: number;

  constructor(
    private readonly store: SessionStore,
    private readonly tokens: AccessTokens,
    private readonly origin: Origin,
    private readonly audit: AuditLog,
    @Inject(AUTH_OPTIONS) options: AuthOptions,
  ) {
    this.#lifeMs = checkAuthOptions(options).sessionTtlMs;
  }

  /** @returns undefined when the user was deleted or got another password since it was read */
  async open({ id: userId, tokenVersion: version }: { id: number; tokenVersion: number }): Promise<Grant | undefined> {
    const refreshToken = newOpaqueToken(REFRESH_PREFIX);
    const refreshHash = hashToken(refreshToken);
    const { clientAddress, userAgent } = this.origin.current();
    const lifeMs = this.#lifeMs;
    const sessionId = await this.store.open({ userId, version, refreshHash, lifeMs, clientAddress, userAgent });
    return sessionId === undefined ? undefined : this.#grant({ sessionId, userId, version }, refreshToken);
  }

  /**
   * Exchanges a refresh token for new tokens. A token that was used before ends its session, because one of its two
   * holders may have stolen it. Within 10 s of its first use it is only refused.
   * @throws {ApiError} 401 for an invalid token; 409 for one used in the last 10 s
   */
  async refresh(token: string): Promise<Grant & { userId: number }> {
    if (!isOpaqueToken(REFRESH_PREFIX, token)) throw unauthorized();
    const hash = hashToken(token);
    const next = newOpaqueToken(REFRESH_PREFIX);
    const session = await this.store.rotate(hash, hashToken(next));
    if (!session) throw await this.#refusal(hash);
    return { ...this.#grant(session, next), userId: session.userId };
  }

  /** Ends one session on every replica at once. */
  async end(session: SessionCredential): Promise<void> {
    await this.store.end(session.id);
  }

  /** Ends every session of a user. */
  async endAll(userId: number): Promise<void> {
    await this.store.endAll(userId);
  }

  /** Keeps one session after its user's version was raised. @param tx the transaction that raised the version */
  async renew(userId: number, session: SessionCredential, version: number, tx: SqlClient): Promise<Grant> {
    const refreshToken = newOpaqueToken(REFRESH_PREFIX);
    await this.store.renew(session.id, version, hashToken(refreshToken), tx);
    return this.#grant({ sessionId: session.id, userId, version }, refreshToken);
  }

  async #refusal(hash: Buffer): Promise<Error> {
    const ended = await this.store.endReused(hash, REUSE_GRACE_MS);
    if (!ended) return (await this.store.wasUsed(hash)) ? refreshSuperseded() : unauthorized();
    this.audit.record({
      action: 'refresh.reuse',
      outcome: 'refused',
      target: userTarget(ended.userId),
      details: { session: ended.sessionId },
    });
    return unauthorized();
  }

  #grant(session: UserSession, refreshToken: string): Grant {
    return { accessToken: this.tokens.issue(session), expiresIn: this.tokens.ttlSeconds, refreshToken };
  }
}

/** Whether the value can be compared with an `integer` column. */
function isColumnValue(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
}

function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}
