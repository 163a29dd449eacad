import type { SqlClient } from '@yuxi/core';

/** The report of a replica about itself. */
export interface ReplicaReport {
  /** In force. Undefined until the first read. */
  head?: { epoch: string; revision: number; hash: string };
  /** Revision that it could not apply. */
  refused?: number;
  reason?: string;
}

export interface ReplicaRow {
  replica: string;
  epoch: string | null;
  revision: number | null;
  hash: string | null;
  refused: number | null;
  reason: string | null;
  /** Milliseconds since its last heartbeat. */
  silent: number;
}

export interface RolloutRow {
  epoch: string;
  revision: number;
  hash: string;
  replicas: ReplicaRow[];
}

/** Milliseconds after which a replica without a heartbeat is removed. */
const FORGOTTEN_AFTER = 3_600_000;

/** Longest stored reason, characters. */
const REASON_LENGTH = 300;

/** Table `config_replica`. */
export class ReplicaStore {
  constructor(
    private readonly sql: SqlClient,
    private readonly scope: string,
    private readonly timeout: number,
  ) {}

  /** Adds a replica, replacing an earlier process with that name. Also removes replicas without a heartbeat for an hour. */
  async join(replica: string, instance: string, report: ReplicaReport): Promise<void> {
    await this.sql.query(
      `WITH forgotten AS (
         DELETE FROM config_replica WHERE scope = $1 AND replica <> $2 AND seen_at < now() - $9 * interval '1 ms'
       )
       INSERT INTO config_replica (scope, replica, instance, epoch, revision, hash, refused, reason)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT (scope, replica) DO UPDATE SET (instance, epoch, revision, hash, refused, reason, started_at, seen_at)
         = (EXCLUDED.instance, EXCLUDED.epoch, EXCLUDED.revision, EXCLUDED.hash, EXCLUDED.refused, EXCLUDED.reason, now(), now())`,
      [...this.#values(replica, instance, report), FORGOTTEN_AFTER],
      { timeout: this.timeout },
    );
  }

  /** @returns whether the row still belongs to this process */
  async report(replica: string, instance: string, report: ReplicaReport): Promise<boolean> {
    const { rows } = await this.sql.query(
      `UPDATE config_replica SET epoch = $4, revision = $5, hash = $6, refused = $7, reason = $8, seen_at = now()
       WHERE scope = $1 AND replica = $2 AND instance = $3 RETURNING 1`,
      this.#values(replica, instance, report),
      { timeout: this.timeout },
    );
    return rows.length > 0;
  }

  /** Whether another process uses this name now. */
  async isTaken(replica: string, instance: string): Promise<boolean> {
    const { rows } = await this.sql.query(
      'SELECT 1 FROM config_replica WHERE scope = $1 AND replica = $2 AND instance <> $3',
      [this.scope, replica, instance],
      { timeout: this.timeout },
    );
    return rows.length > 0;
  }

  /** @returns whether there was one */
  async leave(replica: string, instance?: string): Promise<boolean> {
    const { rows } = await this.sql.query(
      `DELETE FROM config_replica WHERE scope = $1 AND replica = $2 AND ($3::text IS NULL OR instance = $3) RETURNING 1`,
      [this.scope, replica, instance ?? null],
      { timeout: this.timeout },
    );
    return rows.length > 0;
  }

  /** Head and replicas from one snapshot of the database. */
  async rollout(): Promise<RolloutRow | undefined> {
    const { rows } = await this.sql.query<RolloutRow>(
      `SELECT h.epoch, h.revision, h.hash, coalesce((
         SELECT json_agg(json_build_object('replica', r.replica, 'epoch', r.epoch, 'revision', r.revision, 'hash', r.hash,
                  'refused', r.refused, 'reason', r.reason, 'silent', extract(epoch FROM clock_timestamp() - r.seen_at) * 1000)
                  ORDER BY r.replica)
         FROM config_replica r WHERE r.scope = h.scope AND r.seen_at > now() - $2 * interval '1 ms'), '[]') AS replicas
       FROM config_head h WHERE h.scope = $1`,
      [this.scope, FORGOTTEN_AFTER],
      { timeout: this.timeout },
    );
    return rows[0];
  }

  #values(replica: string, instance: string, { head, refused, reason }: ReplicaReport): unknown[] {
    return [
      this.scope,
      replica,
      instance,
      head?.epoch ?? null,
      head?.revision ?? null,
      head?.hash ?? null,
      refused ?? null,
      reason?.slice(0, REASON_LENGTH) ?? null,
    ];
  }
}
