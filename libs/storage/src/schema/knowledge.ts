import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  text,
  unique,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { users } from './accounts.js';
import { blobs } from './blobs.js';
import { createdAt, instant, int8multirange, updatedAt } from './columns.js';

export interface ShareConfig {
  visibility: 'private' | 'departments' | 'public';
  /** Ids of departments; used when `visibility` is `departments`. */
  departments: number[];
}

export type JsonObject = Record<string, unknown>;

/** Knowledge bases. */
export const databases = pgTable('databases', {
  id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
  /** Public handle, random. */
  dbId: text('db_id').notNull().unique(),
  /** Unique among the databases that are not deleted. */
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
  /** From then on it is hidden, and its rows are deleted step by step. */
  deletedAt: instant('deleted_at'),
});

export const FILE_STATUSES = [
  'uploaded',
  'parsing',
  'parsed',
  'error_parsing',
  'indexing',
  'indexed',
  'error_indexing',
] as const;
export type FileStatus = (typeof FILE_STATUSES)[number];

export const files = pgTable(
  'files',
  {
    id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
    /** Public handle, random. */
    fileId: text('file_id').notNull().unique(),
    kbId: integer('kb_id')
      .notNull()
      .references(() => databases.id, { onDelete: 'cascade' }),
    /** `file_path` in the response to the upload. */
    uploadHandle: text('upload_handle').notNull().unique(),
    ownerId: integer('owner_id')
      .notNull()
      .references(() => users.id),
    filename: text('filename').notNull(),
    /** Extension without the dot. */
    type: text('type').notNull(),
    /** Bytes. */
    size: bigint('size', { mode: 'number' }).notNull(),
    contentHash: text('content_hash')
      .notNull()
      .references(() => blobs.hash),
    /** Listed as a document, not only uploaded. */
    added: boolean('added').notNull().default(false),
    status: text('status').$type<FileStatus>().notNull().default('uploaded'),
    error: text('error'),
    /** Result of parsing. */
    markdown: text('markdown'),
    params: jsonb('params').$type<JsonObject>().notNull().default({}),
    /** Number of claims so far; only the last one is valid. */
    claim: integer('claim').notNull().default(0),
    /** Null when no task works on the file. */
    claimUntil: instant('claim_until'),
    /** Fence of the lock under which it was claimed. */
    fence: bigint('fence', { mode: 'number' }),
    /** Task that has claimed it. */
    claimedBy: text('claimed_by'),
    /** Identifies content, parameters, analyzer and model of the finished index. */
    fingerprint: text('fingerprint'),
    /** Version of the rules by which its postings were made. */
    analyzer: text('analyzer'),
    /** Ids of chunks that searches ignore: they are being written or deleted. */
    hiddenChunks: int8multirange('hidden_chunks'),
    /** How often the file was indexed. */
    indexCount: integer('index_count').notNull().default(0),
    chunkCount: integer('chunk_count').notNull().default(0),
    /** Number of terms in all chunks, for the average length of BM25. */
    tokenCount: integer('token_count').notNull().default(0),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [unique().on(t.kbId, t.contentHash), index('files_same_name').on(t.kbId, t.filename)],
);

/** The uploads of each user within the last hour, for the quota. */
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

export const chunks = pgTable(
  'chunks',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
    /** SHA-256 of the file, the text and its number among equal texts. */
    chunkId: text('chunk_id').notNull(),
    kbId: integer('kb_id').notNull(),
    fileId: integer('file_id')
      .notNull()
      .references(() => files.id, { onDelete: 'cascade' }),
    /** From 0; negative while the chunk is hidden, see `files.hidden_chunks`. */
    chunkIndex: integer('chunk_index').notNull(),
    content: text('content').notNull(),
    headingPath: jsonb('heading_path').$type<string[]>().notNull().default([]),
    /** In `files.markdown`, UTF-16 units. */
    startOffset: integer('start_offset').notNull(),
    endOffset: integer('end_offset').notNull(),
    tokenCount: integer('token_count').notNull(),
  },
  (t) => [unique().on(t.fileId, t.chunkIndex), unique().on(t.fileId, t.chunkId)],
);

/** One row for each term of a chunk. Its covering index is in the migration only, because drizzle does not support INCLUDE. */
export const postings = pgTable(
  'postings',
  {
    kbId: integer('kb_id').notNull(),
    term: text('term').notNull(),
    /** `chunks.id`. A foreign key would take half of the time of writing; instead a trigger of `chunks` deletes the rows. */
    chunkId: bigint('chunk_id', { mode: 'number' }).notNull(),
    tf: smallint('tf').notNull(),
    /** Number of terms in the chunk. */
    dl: integer('dl').notNull(),
  },
  (t) => [index('postings_chunk').on(t.chunkId)],
);

/** The vectors of a knowledge base that come from one model. */
export const indexGenerations = pgTable(
  'index_generations',
  {
    kbId: integer('kb_id')
      .notNull()
      .references(() => databases.id, { onDelete: 'cascade' }),
    generation: integer('generation').notNull(),
    /** Settings of the model; secrets as references. */
    model: jsonb('model').$type<JsonObject>().notNull(),
    /** Identifies the settings that change the vectors. */
    fingerprint: text('fingerprint').notNull(),
    state: text('state').$type<'building' | 'live' | 'retired' | 'failed'>().notNull(),
    /** Reason of the failure. */
    error: text('error'),
    /** Saga that builds it. */
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
