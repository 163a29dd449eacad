import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { apiKeys, DATABASE, users, type Database, type KeyScope } from '@yuxi/storage';
import { and, asc, eq, gt, isNull, or, sql } from 'drizzle-orm';
import { CALLER_USER, type Caller, type CallerUser } from '../caller.js';

export type NewApiKey = typeof apiKeys.$inferInsert;
export type StoredApiKey = typeof apiKeys.$inferSelect;

const VALID = '(k.expires_at IS NULL OR k.expires_at > now()) AND u.deleted_at IS NULL';

/** Expired keys are still listed for a while, so that their owner sees why a program stopped. */
const EXPIRED_KEPT = '30 days';

/** The keys of all users, by their hashes. */
@Injectable()
export class ApiKeyStore {
  constructor(
    @Inject(SQL_CLIENT) private readonly client: SqlClient,
    @Inject(DATABASE) private readonly database: Database,
  ) {}

  /** The same for many in one statement, without noting a use: by key, the users of those that still count. */
  async callers(ids: readonly number[]): Promise<Map<number, CallerUser>> {
    const { rows } = await this.client.query<CallerUser & { keyId: number }>(
      `SELECT k.id AS "keyId", ${CALLER_USER} FROM api_keys k JOIN users u ON u.id = k.user_id
       WHERE k.id = ANY($1::int[]) AND ${VALID}`,
      [ids],
    );
    return new Map(rows.map(({ keyId, ...user }) => [keyId, user]));
  }

  /** The one statement of every request with a key: key and user as they are now. Notes the use, once a minute at most. */
  async caller(hash: Buffer): Promise<Caller | undefined> {
    const { rows } = await this.client.query<CallerUser & { keyId: number; scopes: KeyScope[] }>(
      `WITH found AS (
         SELECT k.id AS "keyId", k.scopes, ${CALLER_USER}
         FROM api_keys k JOIN users u ON u.id = k.user_id
         WHERE k.hash = $1 AND ${VALID}
       ), noted AS (
         UPDATE api_keys SET last_used_at = now()
         WHERE id = (SELECT "keyId" FROM found) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
       )
       SELECT * FROM found`,
      [hash],
    );
    const [row] = rows;
    if (!row) return undefined;
    const { keyId, scopes, ...user } = row;
    return { ...user, credential: { kind: 'key', id: keyId, scopes } };
  }

  /**
   * @param most keys that a user may have, expired ones not counted
   * @returns undefined when the user has as many
   */
  async create(key: NewApiKey, most: number, tx: Database): Promise<StoredApiKey | undefined> {
    // Without the lock on the user, two that count at the same time would both find room.
    await tx.select({ id: users.id }).from(users).where(eq(users.id, key.userId)).for('no key update');
    const valid = or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, sql`now()`));
    if ((await tx.$count(apiKeys, and(eq(apiKeys.userId, key.userId), valid))) >= most) return undefined;
    const [stored] = await tx.insert(apiKeys).values(key).returning();
    return stored;
  }

  async list(userId: number): Promise<StoredApiKey[]> {
    return this.database.select().from(apiKeys).where(eq(apiKeys.userId, userId)).orderBy(asc(apiKeys.id));
  }

  /** @returns false when the user has no such key */
  async remove(id: number, userId: number, tx: Database): Promise<boolean> {
    const rows = await tx
      .delete(apiKeys)
      .where(and(eq(apiKeys.id, id), eq(apiKeys.userId, userId)))
      .returning({ id: apiKeys.id });
    return rows.length > 0;
  }

  /** @returns ids of the keys that the user had */
  async removeAll(userId: number, tx: Database): Promise<number[]> {
    const rows = await tx.delete(apiKeys).where(eq(apiKeys.userId, userId)).returning({ id: apiKeys.id });
    return rows.map(({ id }) => id);
  }

  /** Removes up to `portion` keys that expired a month ago. */
  async removeExpired(portion: number): Promise<number> {
    const { rowCount } = await this.client.query(
      `DELETE FROM api_keys WHERE id IN (
         SELECT id FROM api_keys WHERE expires_at < now() - interval '${EXPIRED_KEPT}' LIMIT $1 FOR UPDATE SKIP LOCKED)`,
      [portion],
    );
    return rowCount;
  }
}
