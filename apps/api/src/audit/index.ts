export { AUDIT_ACTIONS, keyTarget, userTarget } from './audit.events.js';
export type { AuditAction, AuditEvent } from './audit.events.js';
export { AuditLog } from './audit.log.js';
export { AuditModule } from './audit.module.js';
export type { AuditOptions } from './audit.module.js';
export { AuditStore } from './audit.store.js';
export type { AuditFilter, StoredAuditEvent } from './audit.store.js';
export { Origin } from './origin.js';
