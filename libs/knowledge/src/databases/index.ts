export * from './database.schemas.js';
export type { DatabaseView } from './database.view.js';
export * from './databases.service.js';
export * from './kinds.js';
export type { QueryOption } from './query-options.js';
export { TaskAccess } from './task-access.js';
export { type ShareConfig, type ShareConfigView, shareConfigSchema } from './share-config.js';
export { KINDS, knowledgeBaseTypes } from './postgres.kind.js';
