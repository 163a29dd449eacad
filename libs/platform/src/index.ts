export * from './boot.js';
export * from './env.js';
export * from './platform.module.js';
export * from './public.js';
export * from './settings.js';
