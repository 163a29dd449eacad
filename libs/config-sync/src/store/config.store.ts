import { randomUUID } from 'node:crypto';
import type { SqlClient } from '@yuxi/core';
import { ConfigConflictError, ConfigUnavailableError } from '../config-sync.errors.js';
import { SQL_CHANNEL, writeSqlHint } from '../hints/sql-hint.js';
import { hashOf } from '../schema/json.js';
import type { JsonObject } from '../schema/json.js';
import { type ConfigHead, type HeadRow, toHead } from './config-head.js';

export interface ConfigCommit {
  patch: JsonObject;
  /** @returns what is to be stored; a throw leaves everything as it was. */
  next: (stored: JsonObject) => JsonObject;
  /** The head must have this revision. */
  ifRevision?: number;
  /** The head's hash must begin with this. */
  ifHash?: string;
  author: string;
  reason: string;
}

export interface ConfigStoreOptions {
  scope: string;
  /** Longest wait for a read, milliseconds. */
  readTimeout?: number;
  /** Kept with each revision. */
  schemaVersion?: string;
}

/** Longest wait of a writer for the writers before it, and for each of its own statements. */
const LOCK_TIMEOUT = 10_000;
const WRITE_TIMEOUT = LOCK_TIMEOUT + 2000;

/** Head and revisions in SQL. Must speak to the primary: a lagging copy would look like a restored database. */
export class ConfigStore {
  readonly #scope: string;

  constructor(
    private readonly sql: SqlClient,
    private readonly options: ConfigStoreOptions,
  ) {
    this.#scope = options.scope;
  }

  /**
   * The head; `known` itself, at the price of one small row, while nothing changed.
   * Makes the first head of a scope, but never replaces one that was there before.
   * @throws {ConfigUnavailableError} when the head is missing or its snapshot is not what was committed.
   */
  async read(known?: ConfigHead): Promise<ConfigHead> {
    let row = await this.#select(known);
    if (!row && !known) {
      await this.sql.query(
        `INSERT INTO config_head (scope, epoch, revision, hash, snapshot)
         VALUES ($1, $2, 0, $3, '{}') ON CONFLICT (scope) DO NOTHING`,
        [this.#scope, randomUUID(), hashOf({})],
        { timeout: this.options.readTimeout },
      );
      row = await this.#select();
    }
    if (!row) throw this.#gone();
    return row.snapshot === null && known ? known : toHead(row);
  }

  /**
   * One more revision, in one transaction under the lock of the head row; the head as it is if nothing would change.
   * All who listen to the database are told when it is committed.
   * @throws {ConfigConflictError} when the head is not the one named.
   */
  commit({ patch, next, ifRevision, ifHash, author, reason }: ConfigCommit): Promise<ConfigHead> {
    return this.sql.transaction(
      async (tx) => {
        // A writer that freezes here must not hold up all others for ever.
        await tx.query(
          `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', '3s', true)`,
          [`${LOCK_TIMEOUT}ms`],
        );
        const { rows } = await tx.query<HeadRow>(
          'SELECT epoch, revision, hash, snapshot FROM config_head WHERE scope = $1 FOR UPDATE',
          [this.#scope],
        );
        if (!rows[0]) throw this.#gone();
        const head = toHead(rows[0]);
        const expected = { revision: ifRevision ?? head.revision, hash: ifHash ?? head.hash };
        if (expected.revision !== head.revision || !head.hash.startsWith(expected.hash))
          throw new ConfigConflictError(expected.revision, head.revision);
        const stored = next(head.stored);
        const committed = { epoch: head.epoch, revision: head.revision + 1, hash: hashOf(stored), stored };
        if (committed.hash === head.hash) return head;
        await this.#write(tx, committed, [JSON.stringify(patch), author, reason]);
        return committed;
      },
      { timeout: WRITE_TIMEOUT },
    );
  }

  async #write(tx: SqlClient, { epoch, revision, hash, stored }: ConfigHead, origin: string[]): Promise<void> {
    await tx.query(
      `WITH head AS (
         UPDATE config_head SET revision = $3, hash = $4, snapshot = $5::jsonb, updated_at = now()
         WHERE scope = $1 AND epoch = $2
       ), kept AS (
         INSERT INTO config_revision (scope, epoch, revision, hash, snapshot, patch, author, reason, schema_version)
         VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7, $8, $9)
       )
       SELECT pg_notify($10, $11)`,
      [
        this.#scope,
        epoch,
        revision,
        hash,
        JSON.stringify(stored),
        ...origin,
        this.options.schemaVersion ?? '',
        SQL_CHANNEL,
        writeSqlHint({ scope: this.#scope, revision, hash }),
      ],
    );
  }

  /** Begins a new epoch at this head, so that revisions to come are not taken for those that a restore removed. */
  async renewEpoch({ epoch, revision, hash }: ConfigHead): Promise<void> {
    await this.sql.query(
      'UPDATE config_head SET epoch = $5 WHERE scope = $1 AND epoch = $2 AND revision = $3 AND hash = $4',
      [this.#scope, epoch, revision, hash, randomUUID()],
      { timeout: this.options.readTimeout },
    );
  }

  async #select(known?: ConfigHead): Promise<HeadRow | undefined> {
    const { rows } = await this.sql.query<HeadRow>(
      `SELECT epoch, revision, hash,
              CASE WHEN epoch = $2 AND revision = $3 AND hash = $4 THEN NULL ELSE snapshot END AS snapshot
       FROM config_head WHERE scope = $1`,
      [this.#scope, known?.epoch ?? '', known?.revision ?? -1, known?.hash ?? ''],
      { timeout: this.options.readTimeout },
    );
    return rows[0];
  }

  #gone(): ConfigUnavailableError {
    return new ConfigUnavailableError(`scope ${this.#scope} has no row in config_head any more`);
  }
}
