import {
  addParamsSchema,
  chunkParamsSchema,
  createDatabaseSchema,
  indexParamsSchema,
  MAX_ITEMS,
  MAX_QUERY_LENGTH,
  updateDatabaseSchema,
} from '@yuxi/knowledge';
import { z } from 'zod';

const handle = z.string().min(1).max(128);
const values = z.record(z.string().min(1).max(128), z.unknown());

export const createDatabase = createDatabaseSchema;
export const updateDatabase = updateDatabaseSchema;

export const fileIds = z.array(handle).min(1).max(MAX_ITEMS);
export const addDocuments = z.strictObject({ items: fileIds, params: addParamsSchema.default({}) });
export const indexDocuments = z.strictObject({ file_ids: fileIds, params: indexParamsSchema.default({}) });

/** An upload handle, or a file id. */
export const ingest = z.strictObject({ file_path: handle, params: chunkParamsSchema.default({}) });

export const search = z.strictObject({ query: z.string().min(1).max(MAX_QUERY_LENGTH), meta: values.default({}) });
/** The kind of the knowledge base decides which keys exist, and checks them. */
export const queryParams = values;

export const uploadTarget = z.strictObject({ db_id: handle });
export const databaseId = handle;
export const documentId = handle;
