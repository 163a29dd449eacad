import { sql } from 'drizzle-orm';
import { index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { bytea, createdAt, instant } from './columns.js';
import { users } from './people.js';

/** What an API key may be used for. */
export type KeyScope = 'read' | 'write';

/** Keys with which programs speak for a user. A revoked key's row is deleted. */
export const apiKeys = pgTable(
  'api_keys',
  {
    id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
    userId: integer('user_id')
      .notNull()
      .references(() => users.id),
    name: text('name').notNull(),
    /** SHA-256 of the key. */
    hash: bytea('hash').notNull().unique(),
    /** Its first characters, to tell keys apart. */
    hint: text('hint').notNull(),
    scopes: jsonb('scopes').$type<KeyScope[]>().notNull(),
    createdAt: createdAt(),
    expiresAt: instant('expires_at'),
    /** Exact to the minute. */
    lastUsedAt: instant('last_used_at'),
  },
  (t) => [
    index('api_keys_user').on(t.userId),
    index('api_keys_expired')
      .on(t.expiresAt)
      .where(sql`expires_at IS NOT NULL`),
  ],
);
