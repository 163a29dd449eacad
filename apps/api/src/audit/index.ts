export { AUDIT_ACTIONS, keyTarget, userTarget } from './audit.events.js';
export type { AuditEvent } from './audit.events.js';
export { AuditLog } from './audit.log.js';
export { AuditModule } from './audit.module.js';
export type { AuditOptions } from './audit.module.js';
export { AuditStore } from './audit.store.js';
export type { StoredAuditEvent } from './audit.store.js';
export { Origin } from './origin.js';
