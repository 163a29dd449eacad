export { analyze, ANALYZER_VERSION, termFrequencies } from './analyze.js';
export { type Chunk, chunk, CHUNK_DEFAULTS, chunkId, type ChunkOptions } from './chunk/chunk.js';
export { estimateTokens } from './chunk/tokens.js';
export { fingerprint } from './fingerprint.js';
export { detectType, type FileType, SUPPORTED_TYPES } from './parse/detect.js';
export { ParseError, UnsupportedTypeError } from './parse/errors.js';
export { safeFilename } from './parse/filename.js';
export { parse, type ParsedDocument } from './parse/parse.js';
