export * from './databases/access.js';
export * from './databases/index.js';
export * from './files/index.js';
export * from './indexing/index.js';
export * from './knowledge.errors.js';
export { KnowledgeModule } from './knowledge.module.js';
export * from './search/search.service.js';
export {
  analyze,
  ANALYZER_VERSION,
  chunk,
  chunkId,
  type ChunkOptions,
  EmptyFileError,
  InvalidFilenameError,
  ParseError,
  SUPPORTED_TYPES,
  UnsupportedTypeError,
} from './text/index.js';
export { Generations } from './vectors/generations.js';
export { VectorUpkeep } from './vectors/upkeep.js';
