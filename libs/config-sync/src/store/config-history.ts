import type { SqlClient } from '@yuxi/core';
import type { JsonObject } from '../schema/json.js';

/** A revision as it was committed. */
export interface ConfigRevision {
  revision: number;
  epoch: string;
  hash: string;
  /** The merge patch that made it. */
  patch: JsonObject;
  author: string;
  reason: string;
  /** Of the sections' schema it was checked against; changes with the build. */
  schemaVersion: string;
  createdAt: Date;
}

export interface HistoryQuery {
  /** Only revisions below. Default none. */
  before?: number;
  /** Default 50. */
  limit?: number;
}

interface Row {
  revision: number | string;
  epoch: string;
  hash: string;
  patch: JsonObject;
  author: string;
  reason: string;
  schema_version: string;
  created_at: Date | string;
}

/** Every revision that ever was. */
export class ConfigHistory {
  constructor(
    private readonly sql: SqlClient,
    private readonly scope: string,
  ) {}

  /** Newest first. */
  async list({ before = Number.MAX_SAFE_INTEGER, limit = 50 }: HistoryQuery = {}): Promise<ConfigRevision[]> {
    const { rows } = await this.sql.query<Row>(
      `SELECT revision, epoch, hash, patch, author, reason, schema_version, created_at FROM config_revision
       WHERE scope = $1 AND revision < $2 ORDER BY revision DESC, created_at DESC LIMIT $3`,
      [this.scope, before, limit],
    );
    return rows.map(({ revision, schema_version: schemaVersion, created_at: createdAt, ...rest }) => ({
      ...rest,
      revision: Number(revision),
      schemaVersion,
      createdAt: new Date(createdAt),
    }));
  }

  /** What was stored with a revision; of a number that a restored database gave out twice, the newer one. Revision 0 is empty. */
  async snapshot(revision: number): Promise<JsonObject | undefined> {
    if (revision === 0) return {};
    const { rows } = await this.sql.query<{ snapshot: JsonObject }>(
      'SELECT snapshot FROM config_revision WHERE scope = $1 AND revision = $2 ORDER BY created_at DESC LIMIT 1',
      [this.scope, revision],
    );
    return rows[0]?.snapshot;
  }
}
