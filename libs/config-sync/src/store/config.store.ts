import { randomUUID } from 'node:crypto';
import type { SqlClient } from '@yuxi/core';
import { ConfigConflictError, ConfigUnavailableError } from '../config-sync.errors.js';
import { hashOf } from '../schema/json.js';
import type { JsonObject } from '../schema/json.js';

/** A revision that was committed. Two heads are the same when epoch, revision and hash are. */
export interface ConfigHead {
  readonly epoch: string;
  readonly revision: number;
  readonly hash: string;
  /** What was set; everything else has its default. */
  readonly stored: JsonObject;
}

export interface ConfigCommit {
  patch: JsonObject;
  /** @returns what is to be stored; a throw leaves everything as it was. */
  next: (stored: JsonObject) => JsonObject;
  ifRevision?: number;
  author: string;
  reason: string;
}

interface HeadRow {
  epoch: string;
  revision: number | string;
  hash: string;
  snapshot: JsonObject | null;
}

/** Head and history in SQL. Must speak to the primary: a lagging copy would look like a restored database. */
export class ConfigStore {
  constructor(
    private readonly sql: SqlClient,
    private readonly scope: string,
  ) {}

  /**
   * The head; `known` itself, at the price of one small row, while nothing changed.
   * Makes the first head of a scope, but never replaces one that was there before.
   * @throws {ConfigUnavailableError} when the head is missing or its snapshot is not what was committed.
   */
  async read(known?: ConfigHead): Promise<ConfigHead> {
    let row = await this.select(known);
    if (!row && !known) {
      await this.sql.query(
        `INSERT INTO config_head (scope, epoch, revision, hash, snapshot)
         VALUES ($1, $2, 0, $3, '{}') ON CONFLICT (scope) DO NOTHING`,
        [this.scope, randomUUID(), hashOf({})],
      );
      row = await this.select();
    }
    if (!row) throw new ConfigUnavailableError(`scope ${this.scope} has no row in config_head any more`);
    return row.snapshot === null && known ? known : toHead(row);
  }

  /**
   * One more revision, in one transaction under the lock of the head row.
   * @throws {ConfigConflictError} when `ifRevision` is not the head.
   */
  commit({ patch, next, ifRevision, author, reason }: ConfigCommit): Promise<ConfigHead> {
    return this.sql.transaction(async (tx) => {
      // A writer that freezes here must not hold up all others for ever.
      await tx.query(
        `SELECT set_config('lock_timeout', '10s', true), set_config('idle_in_transaction_session_timeout', '3s', true)`,
      );
      const { rows } = await tx.query<HeadRow>(
        'SELECT epoch, revision, hash, snapshot FROM config_head WHERE scope = $1 FOR UPDATE',
        [this.scope],
      );
      if (!rows[0]) throw new ConfigUnavailableError(`scope ${this.scope} has no row in config_head any more`);
      const head = toHead(rows[0]);
      if (ifRevision !== undefined && ifRevision !== head.revision)
        throw new ConfigConflictError(ifRevision, head.revision);
      const stored = next(head.stored);
      const committed = { epoch: head.epoch, revision: head.revision + 1, hash: hashOf(stored), stored };
      const row = [this.scope, committed.epoch, committed.revision, committed.hash, JSON.stringify(stored)];
      await tx.query(
        `UPDATE config_head SET revision = $3, hash = $4, snapshot = $5::jsonb, updated_at = now()
         WHERE scope = $1 AND epoch = $2`,
        row,
      );
      await tx.query(
        `INSERT INTO config_revision (scope, epoch, revision, hash, snapshot, patch, author, reason)
         VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7, $8)`,
        [...row, JSON.stringify(patch), author, reason],
      );
      return committed;
    });
  }

  /** Begins a new epoch at this head, so that revisions to come are not taken for those that a restore removed. */
  async renewEpoch({ epoch, revision, hash }: ConfigHead): Promise<void> {
    await this.sql.query(
      'UPDATE config_head SET epoch = $5 WHERE scope = $1 AND epoch = $2 AND revision = $3 AND hash = $4',
      [this.scope, epoch, revision, hash, randomUUID()],
    );
  }

  private async select(known?: ConfigHead): Promise<HeadRow | undefined> {
    const { rows } = await this.sql.query<HeadRow>(
      `SELECT epoch, revision, hash,
              CASE WHEN epoch = $2 AND revision = $3 AND hash = $4 THEN NULL ELSE snapshot END AS snapshot
       FROM config_head WHERE scope = $1`,
      [this.scope, known?.epoch ?? '', known?.revision ?? -1, known?.hash ?? ''],
    );
    return rows[0];
  }
}

function toHead({ epoch, revision, hash, snapshot }: HeadRow): ConfigHead {
  if (snapshot === null || hashOf(snapshot) !== hash)
    throw new ConfigUnavailableError(`snapshot of revision ${revision} does not match its hash`);
  return { epoch, revision: Number(revision), hash, stored: snapshot };
}
