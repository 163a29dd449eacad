export { boot, type BootSteps, type Parts } from './boot.js';
export { type App, type Env, readEnv } from './config/env.js';
export * from './config/namespaces.js';
export { PUBLIC, UNLIMITED } from './health/health.controller.js';
export * from './platform.module.js';
export * from './settings.js';
export * from './shutdown/drain.js';
export * from './shutdown/shutdown.js';
