export * from './around.js';
export * from './clock.js';
export * from './duration.js';
export * from './errors.js';
export * from './sql-client.js';
export * from './sql-errors.js';
export * from './env.js';
export * from './within.js';
