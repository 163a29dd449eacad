import { sql } from 'drizzle-orm';
import { boolean, integer, jsonb, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.js';
import { databases, type JsonObject } from './databases.js';

/** All vectors of a knowledge base that one model made. */
export const indexGenerations = pgTable(
  'index_generations',
  {
    kbId: integer('kb_id')
      .notNull()
      .references(() => databases.id, { onDelete: 'cascade' }),
    generation: integer('generation').notNull(),
    /** What the vectors are made by; secrets as references. */
    model: jsonb('model').$type<JsonObject>().notNull(),
    /** Of what in the model decides the vectors. */
    fingerprint: text('fingerprint').notNull(),
    state: text('state').$type<'building' | 'live' | 'retired' | 'failed'>().notNull(),
    /** Why it failed. */
    error: text('error'),
    /** What builds it. */
    sagaId: text('saga_id'),
    hasIndex: boolean('has_index').notNull().default(false),
    createdAt: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.kbId, t.generation] }),
    uniqueIndex('index_generations_one_building')
      .on(t.kbId)
      .where(sql`state = 'building'`),
  ],
);
