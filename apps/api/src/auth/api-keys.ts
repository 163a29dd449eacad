import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { apiKeys, DATABASE, users, type Database, type KeyScope } from '@yuxi/storage';
import { and, asc, eq, gt, isNull, or, sql } from 'drizzle-orm';
import { AuditLog, keyTarget } from '../audit/index.js';
import { keyNotFound, tooManyKeys } from './auth.errors.js';
import type { CreateKeyBody } from './auth.schemas.js';
import { CALLER_USER, type Caller, type CallerUser } from './caller.js';
import { hashToken, isOpaqueToken, newOpaqueToken } from './opaque-token.js';

const KEY_PREFIX = 'yxkey_';
/** The shown part distinguishes the keys of a user; 226 random bits stay secret. */
const HINT_LENGTH = KEY_PREFIX.length + 5;
/** Unexpired keys that one user may have. */
export const MAX_KEYS = 20;

const IS_VALID = '(k.expires_at IS NULL OR k.expires_at > now()) AND u.deleted_at IS NULL';
/** Expired keys stay listed for this time, so that their owner sees why a program has stopped. */
const EXPIRED_KEPT = '30 days';

export type NewApiKey = typeof apiKeys.$inferInsert;
export type StoredApiKey = typeof apiKeys.$inferSelect;

/** The keys of all users, stored as hashes. */
@Injectable()
export class ApiKeyStore {
  constructor(
    @Inject(SQL_CLIENT) private readonly client: SqlClient,
    @Inject(DATABASE) private readonly database: Database,
  ) {}

  /** Reads key and user, and records the use, at most once a minute. The only statement of authentication by key. */
  async caller(hash: Buffer): Promise<Caller | undefined> {
    const { rows } = await this.client.query<CallerUser & { keyId: number; scopes: KeyScope[] }>(
      `WITH found AS (
         SELECT k.id AS "keyId", k.scopes, ${CALLER_USER}
         FROM api_keys k JOIN users u ON u.id = k.user_id
         WHERE k.hash = $1 AND ${IS_VALID}
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

  /** The users of the keys that are still valid, by key. Records no use. */
  async callers(ids: readonly number[]): Promise<Map<number, CallerUser>> {
    const { rows } = await this.client.query<CallerUser & { keyId: number }>(
      `SELECT k.id AS "keyId", ${CALLER_USER} FROM api_keys k JOIN users u ON u.id = k.user_id
       WHERE k.id = ANY($1::int[]) AND ${IS_VALID}`,
      [ids],
    );
    return new Map(rows.map(({ keyId, ...user }) => [keyId, user]));
  }

  /**
   * @param limit of keys that the user may have; expired ones do not count
   * @returns undefined when the user has that many
   */
  async create(key: NewApiKey, limit: number, tx: Database): Promise<StoredApiKey | undefined> {
    // Without the lock on the user, two requests that count at the same time would both pass the limit.
    await tx.select({ id: users.id }).from(users).where(eq(users.id, key.userId)).for('no key update');
    const valid = or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, sql`now()`));
    if ((await tx.$count(apiKeys, and(eq(apiKeys.userId, key.userId), valid))) >= limit) return undefined;
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

  /** @returns the ids of the removed keys */
  async removeAll(userId: number, tx: Database): Promise<number[]> {
    const rows = await tx.delete(apiKeys).where(eq(apiKeys.userId, userId)).returning({ id: apiKeys.id });
    return rows.map(({ id }) => id);
  }

  /** Removes up to `portion` keys that expired more than 30 days ago. */
  async removeExpired(portion: number): Promise<number> {
    const { rowCount } = await this.client.query(
      `DELETE FROM api_keys WHERE id IN (
         SELECT id FROM api_keys WHERE expires_at < now() - interval '${EXPIRED_KEPT}' LIMIT $1 FOR UPDATE SKIP LOCKED)`,
      [portion],
    );
    return rowCount;
  }
}

/** Creates, lists and revokes the keys of the caller. */
@Injectable()
export class ApiKeys {
  constructor(
    @Inject(DATABASE) private readonly database: Database,
    private readonly store: ApiKeyStore,
    private readonly audit: AuditLog,
  ) {}

  /** The user of a key, with the rights that the user has now. */
  async caller(key: string): Promise<Caller | undefined> {
    return isOpaqueToken(KEY_PREFIX, key) ? this.store.caller(hashToken(key)) : undefined;
  }

  /**
   * @returns the key, which cannot be read again later
   * @throws {ApiError} 409 when the user has {@link MAX_KEYS} valid keys
   */
  async create({ id: userId }: Caller, body: CreateKeyBody): Promise<{ key: string; stored: StoredApiKey }> {
    const key = newOpaqueToken(KEY_PREFIX);
    const stored = await this.database.transaction(async (tx) => {
      const { name, scopes, expires_at: expiresAt = null } = body;
      const hint = key.slice(0, HINT_LENGTH);
      const row = await this.store.create(
        { userId, name, scopes, expiresAt, hint, hash: hashToken(key) },
        MAX_KEYS,
        tx,
      );
      if (!row) throw tooManyKeys(MAX_KEYS);
      const details = { scopes, expires_at: expiresAt?.toISOString() };
      await this.audit.record({ action: 'key.create', actor: userId, target: keyTarget(row.id), details }, tx);
      return row;
    });
    return { key, stored };
  }

  async list({ id: userId }: Caller): Promise<StoredApiKey[]> {
    return this.store.list(userId);
  }

  /**
   * Revokes a key on every replica at once.
   * @throws {ApiError} 404, also for a key of another user
   */
  async revoke({ id: userId }: Caller, id: number): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (!(await this.store.remove(id, userId, tx))) throw keyNotFound();
      await this.audit.record({ action: 'key.revoke', actor: userId, target: keyTarget(id) }, tx);
    });
  }

  /** Revokes every key of a user in the given transaction. */
  async revokeAll(userId: number, actor: number, tx: Database): Promise<void> {
    for (const id of await this.store.removeAll(userId, tx))
      await this.audit.record({ action: 'key.revoke', actor, target: keyTarget(id) }, tx);
  }
}
