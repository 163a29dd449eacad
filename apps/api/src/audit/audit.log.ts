import { Inject, Injectable, Optional, type OnApplicationShutdown } from '@nestjs/common';
import { counter, METRICS, redact, type MetricsRegistry } from '@yuxi/observability';
import { sqlOf, type Database } from '@yuxi/storage';
import type { AuditEvent } from './audit.events.js';
import { AuditQueue } from './audit.queue.js';
import { AuditStore, type AuditRow } from './audit.store.js';
import { Origin } from './origin.js';

/** Records security events, with the client address and the request id. */
@Injectable()
export class AuditLog implements OnApplicationShutdown {
  readonly #queue: AuditQueue;

  constructor(
    private readonly store: AuditStore,
    private readonly origin: Origin,
    @Optional() @Inject(METRICS) registry?: MetricsRegistry,
  ) {
    const events = counter<'result'>(registry, {
      name: 'yuxi_audit_events_total',
      help: 'Security events, by whether the audit log has them.',
      labelNames: ['result'],
    });
    events.inc({ result: 'lost' }, 0);
    this.#queue = new AuditQueue({
      insert: (rows) => store.insert(rows),
      counted: (result, count) => events.inc({ result }, count),
    });
  }

  /** Queues the event. The request neither waits for the write nor fails with it. */
  record(event: AuditEvent): void;
  /** Writes the event in the transaction of the change it describes: both are committed, or neither is. */
  record(event: AuditEvent, tx: Database): Promise<void>;
  record(event: AuditEvent, tx?: Database): void | Promise<void> {
    const row = this.#toRow(event);
    return tx ? this.store.insert([row], sqlOf(tx)) : this.#queue.add(row);
  }

  /** The HTTP server is closed by now; the database is not. */
  async onApplicationShutdown(): Promise<void> {
    await this.#queue.stop();
  }

  #toRow({ action, outcome = 'ok', actor = null, target, details = {} }: AuditEvent): AuditRow {
    const { clientAddress, requestId } = this.origin.current();
    return {
      age_ms: 0,
      actor_id: actor,
      action,
      target: target ?? null,
      outcome,
      client_address: clientAddress,
      request_id: requestId,
      details: redact(details),
    };
  }
}
