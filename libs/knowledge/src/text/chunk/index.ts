export { chunk, type Chunk, type ChunkPreset } from './chunk.js';
export { chunkId } from './chunk-id.js';
export { CHUNK_DEFAULTS, type ChunkOptions } from './options.js';
export { estimateTokens } from './tokens.js';
