import { Inject, Injectable } from '@nestjs/common';
import { DATABASE, type Database } from '@yuxi/storage';
import { AuditLog, keyTarget } from '../../audit/index.js';
import { keyNotFound, tooManyKeys } from '../auth.errors.js';
import type { Caller } from '../caller.js';
import { hashOf, looksLike, newOpaqueToken } from '../opaque-token.js';
import type { CreateKeyBody } from './api-key.schemas.js';
import { ApiKeyStore, type StoredApiKey } from './api-key.store.js';

export const KEY_PREFIX = 'yxkey_';
/** Enough to tell keys apart; 226 unknown bits are left. */
const HINT_LENGTH = KEY_PREFIX.length + 5;
/** Keys of one user. */
export const MOST_KEYS = 20;

/** Makes, lists and revokes the keys of whoever asks. */
@Injectable()
export class ApiKeys {
  constructor(
    @Inject(DATABASE) private readonly database: Database,
    private readonly store: ApiKeyStore,
    private readonly audit: AuditLog,
  ) {}

  /** The user behind a key, with the rights that the user has now. */
  async caller(key: string): Promise<Caller | undefined> {
    return looksLike(KEY_PREFIX, key) ? this.store.caller(hashOf(key)) : undefined;
  }

  /**
   * @returns the key, which nobody can be told again
   * @throws {ApiError} 409 when the user has {@link MOST_KEYS} valid ones
   */
  async create({ id: userId }: Caller, body: CreateKeyBody): Promise<{ key: string; stored: StoredApiKey }> {
    const key = newOpaqueToken(KEY_PREFIX);
    const stored = await this.database.transaction(async (tx) => {
      const { name, scopes, expires_at: expiresAt = null } = body;
      const hint = key.slice(0, HINT_LENGTH);
      const row = await this.store.create({ userId, name, scopes, expiresAt, hint, hash: hashOf(key) }, MOST_KEYS, tx);
      if (!row) throw tooManyKeys(MOST_KEYS);
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
   * Counts at once on every replica.
   * @throws {ApiError} 404 also for a key of somebody else
   */
  async revoke({ id: userId }: Caller, id: number): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (!(await this.store.remove(id, userId, tx))) throw keyNotFound();
      await this.audit.record({ action: 'key.revoke', actor: userId, target: keyTarget(id) }, tx);
    });
  }

  /** Revokes every key of a user, in the transaction of what makes it necessary. */
  async revokeAll(userId: number, actor: number, tx: Database): Promise<void> {
    for (const id of await this.store.removeAll(userId, tx))
      await this.audit.record({ action: 'key.revoke', actor, target: keyTarget(id) }, tx);
  }
}
