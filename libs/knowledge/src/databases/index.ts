export * from './database.schemas.js';
export type { DatabaseView } from './database.view.js';
export * from './databases.service.js';
export * from './kinds.js';
export type { QueryOption } from '../search/search-options.js';
export { TaskAccess } from './access.js';
export { type ShareConfig, type ShareConfigView, shareConfigSchema } from './database.schemas.js';
export { KINDS, knowledgeBaseTypes } from './kinds.js';
