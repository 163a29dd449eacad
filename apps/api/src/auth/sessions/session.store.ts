import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { CALLER_USER, type Caller, type CallerUser, type SessionCredential } from '../caller.js';
import type { TokenClaims } from '../tokens.js';

/** A session counts until it ends or expires, and while no new password, role or deletion has raised the user's version. */
const ALIVE =
  's.ended_at IS NULL AND s.expires_at > now() AND s.token_version = u.token_version AND u.deleted_at IS NULL';

export interface NewSession {
  userId: number;
  /** `users.token_version` as it was when the password was checked. */
  version: number;
  refreshHash: Buffer;
  lifeMs: number;
  clientAddress: string | null;
  userAgent: string | null;
}

/** Whose session a refresh carried on. */
export interface Refreshed {
  sessionId: string;
  userId: number;
  version: number;
}

/** Sessions and their refresh tokens. Each method is one statement, so that replicas cannot come in between. */
@Injectable()
export class SessionStore {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  /** The one read of every request with an access token: user and session together, as they are now. */
  async caller({ id, version, sessionId }: TokenClaims): Promise<Caller | undefined> {
    const { rows } = await this.sql.query<CallerUser>(
      `SELECT ${CALLER_USER} FROM sessions s JOIN users u ON u.id = s.user_id
       WHERE s.id = $1 AND u.id = $2 AND u.token_version = $3 AND ${ALIVE}`,
      [sessionId, id, version],
    );
    return rows[0] && { ...rows[0], credential: { kind: 'session', id: sessionId, version } };
  }

  /** The same for many in one statement: by session, those that still count. */
  async callers(credentials: readonly SessionCredential[]): Promise<Map<string, CallerUser>> {
    const { rows } = await this.sql.query<CallerUser & { sessionId: string }>(
      `SELECT s.id AS "sessionId", ${CALLER_USER}
       FROM jsonb_to_recordset($1::jsonb) AS c(id uuid, version int), sessions s JOIN users u ON u.id = s.user_id
       WHERE s.id = c.id AND u.token_version = c.version AND ${ALIVE}`,
      [JSON.stringify(credentials)],
    );
    return new Map(rows.map(({ sessionId, ...user }) => [sessionId, user]));
  }

  /** @returns id of the session; undefined when the user was deleted or got another password since it was read */
  async open({
    userId,
    version,
    refreshHash,
    lifeMs,
    clientAddress,
    userAgent,
  }: NewSession): Promise<string | undefined> {
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
   * Uses a refresh token up and puts the next one in its place. Of several callers with the same token, on whichever
   * replicas, one gets an answer: the row decides. The session's row is taken first, as a change of password takes it.
   */
  async rotate(used: Buffer, next: Buffer): Promise<Refreshed | undefined> {
    const { rows } = await this.sql.query<Refreshed>(
      `WITH session AS (
         SELECT s.id, s.user_id, s.token_version
         FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
         WHERE t.hash = $1 AND ${ALIVE} FOR NO KEY UPDATE OF s
       ), used AS (
         UPDATE refresh_tokens t SET used_at = now() FROM session
         WHERE t.hash = $1 AND t.session_id = session.id AND t.used_at IS NULL RETURNING session.*
       ), next AS (INSERT INTO refresh_tokens (hash, session_id) SELECT $2, id FROM used)
       SELECT id AS "sessionId", user_id AS "userId", token_version AS version FROM used`,
      [used, next],
    );
    return rows[0];
  }

  /** Ends the session of a token that was used up longer ago than `graceMs`. @returns whose it was */
  async endReused(hash: Buffer, graceMs: number): Promise<Refreshed | undefined> {
    const { rows } = await this.sql.query<Refreshed>(
      `UPDATE sessions s SET ended_at = now() FROM refresh_tokens t, users u
       WHERE t.hash = $1 AND t.used_at <= now() - $2 * interval '1 ms' AND s.id = t.session_id AND u.id = s.user_id AND ${ALIVE}
       RETURNING s.id AS "sessionId", s.user_id AS "userId", s.token_version AS version`,
      [hash, graceMs],
    );
    return rows[0];
  }

  /** Whether the token was used up a moment ago, in a session that goes on. */
  async wasJustUsed(hash: Buffer): Promise<boolean> {
    const { rows } = await this.sql.query(
      `SELECT FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
       WHERE t.hash = $1 AND t.used_at IS NOT NULL AND ${ALIVE}`,
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

  /**
   * Lets one session live on under the version that has ended all others, with a new refresh token.
   * @param sql of the transaction that raised the version
   */
  async carryOver(sessionId: string, version: number, refreshHash: Buffer, sql: SqlClient): Promise<void> {
    // Takes the row first: a refresh that is under way ends before, and what it gave out is used up by the next statement.
    await sql.query('UPDATE sessions SET token_version = $2 WHERE id = $1', [sessionId, version]);
    await sql.query('UPDATE refresh_tokens SET used_at = now() WHERE session_id = $1 AND used_at IS NULL', [sessionId]);
    await sql.query('INSERT INTO refresh_tokens (hash, session_id) VALUES ($1, $2)', [refreshHash, sessionId]);
  }

  /** Removes up to `portion` sessions that have expired, or ended a day ago, with their tokens. */
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
