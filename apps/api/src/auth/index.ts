export { CurrentUser, KeyAccess, Public, Roles, SessionOnly } from './auth.decorators.js';
export type { AuthenticatedRequest } from './auth.decorators.js';
export { AuthModule } from './auth.module.js';
export { AUTH_OPTIONS } from './auth.options.js';
export type { AuthOptions } from './auth.options.js';
export { atLeast, viaKey } from './caller.js';
export type { Caller } from './caller.js';
export { FirstRun } from './first-run.js';
export { MIN_LENGTH } from './passwords/password-rules.js';
