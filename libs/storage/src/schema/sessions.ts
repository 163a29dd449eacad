import { sql } from 'drizzle-orm';
import { index, integer, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { bytea, createdAt, instant } from './columns.js';
import { users } from './people.js';

export const sessions = pgTable(
  'sessions',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    userId: integer('user_id')
      .notNull()
      .references(() => users.id),
    /** The session counts while `users.token_version` is the same. */
    tokenVersion: integer('token_version').notNull(),
    createdAt: createdAt(),
    expiresAt: instant('expires_at').notNull(),
    /** By a logout or a reused refresh token. */
    endedAt: instant('ended_at'),
    clientAddress: text('client_address'),
    userAgent: text('user_agent'),
  },
  (t) => [
    index('sessions_user').on(t.userId),
    index('sessions_expired').on(t.expiresAt),
    index('sessions_ended')
      .on(t.endedAt)
      .where(sql`ended_at IS NOT NULL`),
  ],
);

/** Every refresh token given out in a session; at most one of them is unused. */
export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    /** SHA-256 of the token. */
    hash: bytea('hash').primaryKey(),
    sessionId: uuid('session_id')
      .notNull()
      .references(() => sessions.id, { onDelete: 'cascade' }),
    createdAt: createdAt(),
    usedAt: instant('used_at'),
  },
  (t) => [
    index('refresh_tokens_session').on(t.sessionId),
    uniqueIndex('refresh_tokens_one_unused')
      .on(t.sessionId)
      .where(sql`used_at IS NULL`),
  ],
);
