import { bigint, index, integer, pgTable } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.js';
import { users } from './people.js';

/** What users have sent within the last hour, for their quota. */
export const uploads = pgTable(
  'uploads',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
    userId: integer('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** Bytes. */
    size: bigint('size', { mode: 'number' }).notNull(),
    createdAt: createdAt(),
  },
  (t) => [index('uploads_recent').on(t.userId, t.createdAt)],
);
