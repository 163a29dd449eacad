import { sql } from 'drizzle-orm';
import { index, integer, jsonb, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { bytea, createdAt, instant } from './columns.js';

export type Role = 'user' | 'admin' | 'superadmin';

export const departments = pgTable('departments', {
  id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
  name: text('name').notNull().unique(),
  description: text('description').notNull().default(''),
  createdAt: createdAt(),
});

export const users = pgTable(
  'users',
  {
    id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
    /** Login name; not used again after the user is deleted. */
    userId: text('user_id').notNull().unique(),
    username: text('username').notNull(),
    phoneNumber: text('phone_number').unique(),
    avatar: text('avatar'),
    passwordHash: text('password_hash').notNull(),
    role: text('role').$type<Role>().notNull(),
    departmentId: integer('department_id').references(() => departments.id),
    /** Incremented to end all sessions of the user. */
    tokenVersion: integer('token_version').notNull().default(0),
    createdAt: createdAt(),
    lastLogin: instant('last_login'),
    deletedAt: instant('deleted_at'),
  },
  (t) => [
    uniqueIndex('users_one_superadmin')
      .on(t.role)
      .where(sql`role = 'superadmin' AND deleted_at IS NULL`),
  ],
);

export const sessions = pgTable(
  'sessions',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    userId: integer('user_id')
      .notNull()
      .references(() => users.id),
    /** The session is valid while `users.token_version` is the same. */
    tokenVersion: integer('token_version').notNull(),
    createdAt: createdAt(),
    expiresAt: instant('expires_at').notNull(),
    /** Ended by a logout or a refresh token that was used twice. */
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

/** All refresh tokens that were issued in a session; at most one of them is unused. */
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

/** What an API key may be used for. */
export type KeyScope = 'read' | 'write';

/** Keys for programs that act for a user. The row of a revoked key is deleted. */
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
    /** The first characters of the key, so that a user recognizes it. */
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
