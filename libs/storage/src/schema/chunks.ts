import { bigint, index, integer, jsonb, pgTable, smallint, text, unique } from 'drizzle-orm/pg-core';
import { files } from './files.js';

export const chunks = pgTable(
  'chunks',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
    /** SHA-256 of file, text and ordinal among equal texts. */
    chunkId: text('chunk_id').notNull(),
    kbId: integer('kb_id').notNull(),
    fileId: integer('file_id')
      .notNull()
      .references(() => files.id, { onDelete: 'cascade' }),
    /** From 0; negative while the chunk is hidden, see `files.hidden_chunks`. */
    chunkIndex: integer('chunk_index').notNull(),
    content: text('content').notNull(),
    headingPath: jsonb('heading_path').$type<string[]>().notNull().default([]),
    /** Into `files.markdown`, UTF-16 units. */
    startOffset: integer('start_offset').notNull(),
    endOffset: integer('end_offset').notNull(),
    tokenCount: integer('token_count').notNull(),
  },
  (t) => [unique().on(t.fileId, t.chunkIndex), unique().on(t.fileId, t.chunkId)],
);

/** One row for each term of a chunk; drizzle knows no INCLUDE, so the covering index stands in the migration only. */
export const postings = pgTable(
  'postings',
  {
    kbId: integer('kb_id').notNull(),
    term: text('term').notNull(),
    /** `chunks.id`. Without a foreign key, which costs half of the time of writing; a trigger of `chunks` removes what is left. */
    chunkId: bigint('chunk_id', { mode: 'number' }).notNull(),
    tf: smallint('tf').notNull(),
    /** Terms in the chunk. */
    dl: integer('dl').notNull(),
  },
  (t) => [index('postings_chunk').on(t.chunkId)],
);
