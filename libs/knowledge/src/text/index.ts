export * from './analyze/index.js';
export * from './chunk/index.js';
export * from './parse/index.js';
export * from './fingerprint.js';
