import { randomUUID } from 'node:crypto';
import type { SqlClient } from '@yuxi/core';
import { ConfigConflictError, ConfigUnavailableError } from './config-sync.errors.js';
import { hashOf, type JsonObject } from './schema/json.js';

/** A committed revision. Two heads are the same when epoch, revision and hash are. */
export interface ConfigHead {
  readonly epoch: string;
  readonly revision: number;
  readonly hash: string;
  /** The values that were set. Everything else has its default. */
  readonly stored: JsonObject;
}

/** One revision of the history. */
export interface ConfigRevision {
  revision: number;
  epoch: string;
  hash: string;
  /** The merge patch that made it. */
  patch: JsonObject;
  author: string;
  reason: string;
  /** Of the schema that checked it. Changes with the build. */
  schemaVersion: string;
  createdAt: Date;
}

export interface HistoryQuery {
  /** Only revisions below this one. Default: all. */
  before?: number;
  /** Default 50. */
  limit?: number;
}

export interface ConfigCommit {
  patch: JsonObject;
  /** @returns the values to store. If it throws, nothing changes. */
  next: (stored: JsonObject) => JsonObject;
  /** The head must have this revision. */
  ifRevision?: number;
  /** The hash of the head must begin with this. */
  ifHash?: string;
  author: string;
  reason: string;
}

export interface ConfigStoreOptions {
  scope: string;
  /** Longest read, milliseconds. */
  readTimeout?: number;
  /** Stored with each revision. */
  schemaVersion?: string;
}

/** Channel of the notices that PostgreSQL sends with a commit. */
export const SQL_CHANNEL = 'yuxi_config_updates';

export interface SqlHint {
  scope: string;
  revision: number;
  hash: string;
}

/** @returns undefined for a text that is not a notice */
export function readSqlHint(text: string): SqlHint | undefined {
  try {
    const { scope, revision, hash } = JSON.parse(text) as Record<string, unknown>;
    if (typeof scope !== 'string' || !Number.isSafeInteger(revision) || typeof hash !== 'string') return undefined;
    return { scope, revision: revision as number, hash };
  } catch {
    return undefined;
  }
}

interface HeadRow {
  epoch: string;
  revision: number | string;
  hash: string;
  snapshot: JsonObject | null;
}

interface RevisionRow {
  revision: number | string;
  epoch: string;
  hash: string;
  patch: JsonObject;
  author: string;
  reason: string;
  schema_version: string;
  created_at: Date | string;
}

/** Longest wait of a writer for the writers before it. */
const LOCK_TIMEOUT = 10_000;
/** Longest statement of a writer. */
const WRITE_TIMEOUT = LOCK_TIMEOUT + 2000;

/** Head and history in SQL. Must use the primary: a standby that lags would look like a restored database. */
export class ConfigStore {
  readonly #scope: string;

  constructor(
    private readonly sql: SqlClient,
    private readonly options: ConfigStoreOptions,
  ) {
    this.#scope = options.scope;
  }

  /** Whether a head is older than the one served. Within one epoch this means that an older copy was restored. */
  static isBehind(head: ConfigHead, served: ConfigHead): boolean {
    return (
      head.epoch === served.epoch &&
      (head.revision < served.revision || (head.revision === served.revision && head.hash !== served.hash))
    );
  }

  /**
   * The head. Returns `known` itself while nothing changed; that reads one small row.
   * Makes the first head of a scope, but never replaces a head that existed before.
   * @throws {ConfigUnavailableError} when the head is missing, or its snapshot does not match its hash
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
   * Commits the next revision, in one transaction under the lock of the head row. Returns the present head if nothing changes.
   * PostgreSQL sends the notice when it commits.
   * @throws {ConfigConflictError} when the head is not the one named
   */
  commit({ patch, next, ifRevision, ifHash, author, reason }: ConfigCommit): Promise<ConfigHead> {
    return this.sql.transaction(
      async (tx) => {
        // A writer that freezes here must not block the others for ever.
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

  /** Starts a new epoch at this head. Its later revisions cannot be confused with those that a restore removed. */
  async renewEpoch({ epoch, revision, hash }: ConfigHead): Promise<void> {
    await this.sql.query(
      'UPDATE config_head SET epoch = $5 WHERE scope = $1 AND epoch = $2 AND revision = $3 AND hash = $4',
      [this.#scope, epoch, revision, hash, randomUUID()],
      { timeout: this.options.readTimeout },
    );
  }

  /** Newest first. */
  async history({ before = Number.MAX_SAFE_INTEGER, limit = 50 }: HistoryQuery = {}): Promise<ConfigRevision[]> {
    const { rows } = await this.sql.query<RevisionRow>(
      `SELECT revision, epoch, hash, patch, author, reason, schema_version, created_at FROM config_revision
       WHERE scope = $1 AND revision < $2 ORDER BY revision DESC, created_at DESC LIMIT $3`,
      [this.#scope, before, limit],
    );
    return rows.map(({ revision, schema_version: schemaVersion, created_at: createdAt, ...rest }) => ({
      ...rest,
      revision: Number(revision),
      schemaVersion,
      createdAt: new Date(createdAt),
    }));
  }

  /** The values stored with a revision. A restored database can use a number twice; the newer one counts. Revision 0 is empty. */
  async snapshot(revision: number): Promise<JsonObject | undefined> {
    if (revision === 0) return {};
    const { rows } = await this.sql.query<{ snapshot: JsonObject }>(
      'SELECT snapshot FROM config_revision WHERE scope = $1 AND revision = $2 ORDER BY created_at DESC LIMIT 1',
      [this.#scope, revision],
    );
    return rows[0]?.snapshot;
  }

  async #write(tx: SqlClient, { epoch, revision, hash, stored }: ConfigHead, origin: string[]): Promise<void> {
    const hint: SqlHint = { scope: this.#scope, revision, hash };
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
        JSON.stringify(hint),
      ],
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
    return new ConfigUnavailableError(`the row of scope ${this.#scope} is missing in config_head`);
  }
}

/** @throws {ConfigUnavailableError} when the snapshot was changed after the commit */
function toHead({ epoch, revision, hash, snapshot }: HeadRow): ConfigHead {
  if (snapshot === null || hashOf(snapshot) !== hash)
    throw new ConfigUnavailableError(`snapshot of revision ${revision} does not match its hash`);
  return { epoch, revision: Number(revision), hash, stored: snapshot };
}
