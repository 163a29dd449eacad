import { sql } from 'drizzle-orm';
import { integer, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core';
import { createdAt, instant } from './columns.js';

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
    /** Login name, never given away again after a deletion. */
    userId: text('user_id').notNull().unique(),
    username: text('username').notNull(),
    phoneNumber: text('phone_number').unique(),
    avatar: text('avatar'),
    passwordHash: text('password_hash').notNull(),
    role: text('role').$type<Role>().notNull(),
    departmentId: integer('department_id').references(() => departments.id),
    /** Raised to end every session of the user. */
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
