export { type Actor, TaskAccess } from './databases/access.js';
export * from './databases/database.schemas.js';
export type { DatabaseView } from './databases/database.view.js';
export * from './databases/databases.service.js';
export * from './databases/kinds.js';
export { MAX_ITEMS, type Queued } from './files/document-queue.service.js';
export type { FileEntry, FileMeta } from './files/file.view.js';
export * from './files/files.service.js';
export {
  type AddParams,
  addParamsSchema,
  chunkParamsSchema,
  type IndexParams,
  indexParamsSchema,
} from './files/processing-params.js';
export { MAX_UPLOAD_BYTES } from './files/received-file.js';
export type { SameNameFile, UploadResult } from './files/upload.service.js';
export { FileProcessor, type ProcessFile, type ProcessResult } from './indexing/file-processor.js';
export * from './indexing/hooks.js';
export * from './indexing/indexing.errors.js';
export * from './knowledge.errors.js';
export { KnowledgeModule } from './knowledge.module.js';
export * from './sagas/ingest.service.js';
export type { QueryOption } from './search/search-options.js';
export * from './search/search.service.js';
export { analyze, chunk, chunkId, type ChunkOptions, SUPPORTED_TYPES } from './text/index.js';
export { Generations } from './vectors/generations.js';
export { VectorUpkeep } from './vectors/upkeep.js';
