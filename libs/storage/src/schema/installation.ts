import { bigint, index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { instant, updatedAt } from './columns.js';

/** Generated secrets and other single values of this installation. */
export const settings = pgTable('settings', {
  key: text('key').primaryKey(),
  value: jsonb('value').notNull(),
  updatedAt: updatedAt(),
});

export type AuditOutcome = 'ok' | 'refused';

/** Security events. Rows are only added, and deleted after a time. */
export const auditEvents = pgTable(
  'audit_events',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
    at: instant('at').notNull().defaultNow(),
    /** `users.id`; null for an anonymous request. */
    actorId: integer('actor_id'),
    action: text('action').notNull(),
    /** `kind:id`, for example `user:5`. */
    target: text('target'),
    outcome: text('outcome').$type<AuditOutcome>().notNull(),
    clientAddress: text('client_address'),
    requestId: text('request_id'),
    details: jsonb('details').$type<Record<string, unknown>>().notNull().default({}),
  },
  (t) => [
    index('audit_events_actor').on(t.actorId, t.id),
    index('audit_events_action').on(t.action, t.id),
    index('audit_events_at').on(t.at),
  ],
);
