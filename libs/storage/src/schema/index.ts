export * from './accounts.js';
export * from './blobs.js';
export * from './installation.js';
export * from './knowledge.js';
