import { integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { createdAt, instant, updatedAt } from './columns.js';
import { users } from './people.js';

export interface ShareConfig {
  visibility: 'private' | 'departments' | 'public';
  /** Ids of departments; read when `visibility` is `departments`. */
  departments: number[];
}

export type JsonObject = Record<string, unknown>;

/** Knowledge bases. */
export const databases = pgTable('databases', {
  id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
  /** Public handle, random. */
  dbId: text('db_id').notNull().unique(),
  /** Unique among those that are not deleted. */
  name: text('name').notNull(),
  description: text('description').notNull().default(''),
  kbType: text('kb_type').notNull(),
  ownerId: integer('owner_id')
    .notNull()
    .references(() => users.id),
  shareConfig: jsonb('share_config').$type<ShareConfig>().notNull().default({ visibility: 'private', departments: [] }),
  additionalParams: jsonb('additional_params').$type<JsonObject>().notNull().default({}),
  queryParams: jsonb('query_params').$type<JsonObject>().notNull().default({}),
  llmInfo: jsonb('llm_info').$type<JsonObject>(),
  indexGeneration: integer('index_generation').notNull().default(1),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
  /** Hidden from everybody; its rows go step by step. */
  deletedAt: instant('deleted_at'),
});
