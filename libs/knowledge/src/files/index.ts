export type { Queued } from './document-queue.service.js';
export { MAX_ITEMS } from './document-queue.service.js';
export type { FileEntry, FileMeta } from './file.view.js';
export * from './files.service.js';
export * from '../sagas/ingest.service.js';
export {
  type AddParams,
  addParamsSchema,
  chunkParamsSchema,
  type IndexParams,
  indexParamsSchema,
} from './processing-params.js';
export { UPLOAD_QUOTA_BYTES } from './received-file.js';
export { MAX_UPLOAD_BYTES } from './received-file.js';
export type { SameNameFile, UploadResult } from './upload.service.js';
