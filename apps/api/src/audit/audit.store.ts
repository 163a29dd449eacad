import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient, storableText } from '@yuxi/core';
import { auditEvents, DATABASE, type AuditOutcome, type Database } from '@yuxi/storage';
import { and, desc, eq, gte, lt } from 'drizzle-orm';
import type { AuditAction } from './audit.events.js';

/** An event that is to be written. */
export interface AuditRow {
  /** Age of the event in milliseconds. The clock of the database dates it, so that all replicas agree. */
  age_ms: number;
  actor_id: number | null;
  action: AuditAction;
  target: string | null;
  outcome: AuditOutcome;
  client_address: string | null;
  request_id: string | null;
  details: unknown;
}

export interface AuditFilter {
  actor?: number;
  action?: AuditAction;
  /** Inclusive. */
  from?: Date;
  /** Exclusive. */
  to?: Date;
  /** Only events with a smaller id. */
  before?: number;
  limit: number;
}

export type StoredAuditEvent = typeof auditEvents.$inferSelect;

@Injectable()
export class AuditStore {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(DATABASE) private readonly database: Database,
  ) {}

  async insert(rows: readonly AuditRow[], sql: SqlClient = this.sql): Promise<void> {
    await sql.query(
      `INSERT INTO audit_events (at, actor_id, action, target, outcome, client_address, request_id, details)
       SELECT clock_timestamp() - age_ms * interval '1 ms', actor_id, action, target, outcome, client_address, request_id, details
       FROM jsonb_to_recordset($1::jsonb) AS e (age_ms float8, actor_id integer, action text, target text, outcome text,
         client_address text, request_id text, details jsonb)`,
      [toJson(rows)],
    );
  }

  /** Newest first. */
  async list({ actor, action, from, to, before, limit }: AuditFilter): Promise<StoredAuditEvent[]> {
    const { id, at, actorId } = auditEvents;
    return this.database
      .select()
      .from(auditEvents)
      .where(
        and(
          actor === undefined ? undefined : eq(actorId, actor),
          action === undefined ? undefined : eq(auditEvents.action, action),
          from && gte(at, from),
          to && lt(at, to),
          before === undefined ? undefined : lt(id, before),
        ),
      )
      .orderBy(desc(id))
      .limit(limit);
  }

  /** Removes up to `portion` events older than `keepMs`. @returns the number of events removed */
  async removeOld(keepMs: number, portion: number): Promise<number> {
    const { rowCount } = await this.sql.query(
      `DELETE FROM audit_events WHERE id IN (
         SELECT id FROM audit_events WHERE at < now() - $1 * interval '1 ms' ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
      [keepMs, portion],
    );
    return rowCount;
  }
}

/** Texts of clients may have characters that PostgreSQL refuses. */
function toJson(rows: readonly AuditRow[]): string {
  return JSON.stringify(rows, (_key, value: unknown) => (typeof value === 'string' ? storableText(value) : value));
}
