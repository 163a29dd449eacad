import { bigint, boolean, index, integer, jsonb, pgTable, text, unique } from 'drizzle-orm/pg-core';
import { blobs } from './blobs.js';
import { createdAt, instant, int8multirange, updatedAt } from './columns.js';
import { databases, type JsonObject } from './databases.js';
import { users } from './people.js';

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
    /** What the upload answered as `file_path`. */
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
    /** Claims taken so far; the last one owns the file. */
    claim: integer('claim').notNull().default(0),
    /** Null when nobody works on the file. */
    claimUntil: instant('claim_until'),
    /** Fence of the lock that took the claim. */
    fence: bigint('fence', { mode: 'number' }),
    /** Task whose run took it. */
    claimedBy: text('claimed_by'),
    /** Content, parameters, analyzer and model of the finished index. */
    fingerprint: text('fingerprint'),
    /** Version of the rules that made its postings. */
    analyzer: text('analyzer'),
    /** Ids of chunks that searches do not see: being written, or being removed. */
    hiddenChunks: int8multirange('hidden_chunks'),
    /** Completed indexings. */
    indexCount: integer('index_count').notNull().default(0),
    chunkCount: integer('chunk_count').notNull().default(0),
    /** Terms over all chunks, for the average length of BM25. */
    tokenCount: integer('token_count').notNull().default(0),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [unique().on(t.kbId, t.contentHash), index('files_same_name').on(t.kbId, t.filename)],
);
