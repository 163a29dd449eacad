import { bigint, index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { instant } from './columns.js';

export type AuditOutcome = 'ok' | 'refused';

/** Security events; rows are only added, and removed by age. */
export const auditEvents = pgTable(
  'audit_events',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
    at: instant('at').notNull().defaultNow(),
    /** `users.id`; null when nobody was logged in. */
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
