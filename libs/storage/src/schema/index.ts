export * from './blobs.js';
export * from './chunks.js';
export * from './databases.js';
export * from './files.js';
export * from './people.js';
export * from './settings.js';
