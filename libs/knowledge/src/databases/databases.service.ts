import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import type { Actor } from '../actor.js';
import { newHandle } from '../common/handle.js';
import { isUniqueViolation } from '../common/sql-errors.js';
import { parseInput } from '../common/validate.js';
import { collectBlobs } from '../files/blob-collection.js';
import { type FileEntry, listFiles } from '../files/file.view.js';
import { ConflictError, NotFoundError } from '../knowledge.errors.js';
import { actorParams, DatabaseAccess, DATABASES, VISIBLE } from './database-access.js';
import {
  type CreateDatabase,
  createDatabaseSchema,
  type UpdateDatabase,
  updateDatabaseSchema,
} from './database.schemas.js';
import { DATABASE_COLUMNS, type DatabaseRow, type DatabaseView, viewDatabase } from './database.view.js';
import { KindRegistry } from './kinds.js';
import { type QueryOption, type QueryValues, readQueryOptions, withValues } from './query-options.js';

export type DatabaseName = Pick<DatabaseView, 'db_id' | 'name' | 'description'>;
export type DatabaseWithFiles = DatabaseView & { files: Record<string, FileEntry> };

export interface QueryParams {
  type: string;
  options: QueryOption[];
}

/** Knowledge bases. Every call reads the database anew, and reading never writes. */
@Injectable()
export class DatabasesService {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly access: DatabaseAccess,
    private readonly kinds: KindRegistry,
  ) {}

  /**
   * @throws {ValidationError} also for an unknown `kb_type`.
   * @throws {ConflictError} when the name is taken, by anybody.
   */
  async create(actor: Actor, input: CreateDatabase): Promise<DatabaseWithFiles> {
    const given = parseInput(createDatabaseSchema, input);
    const kind = this.kinds.get(given.kb_type);
    const dbId = newHandle('kb');
    await this.named(given.database_name, () =>
      this.sql.query(
        `INSERT INTO databases (db_id, name, description, kb_type, owner_id, share_config, additional_params, embed_info, llm_info)
         VALUES ($1, $2, $3, $4, $5, coalesce($6::jsonb, '{"visibility":"private","departments":[]}'), $7::jsonb, $8::jsonb, $9::jsonb)`,
        [
          dbId,
          given.database_name,
          given.description,
          kind.type,
          actor.id,
          json(given.share_config),
          json(given.additional_params),
          json(given.embed_model_name ? { name: given.embed_model_name } : null),
          json(given.llm_info),
        ],
      ),
    );
    return { ...(await this.one(actor, dbId)), files: {} };
  }

  /** All databases the actor may read, oldest first. */
  async list(actor: Actor): Promise<DatabaseView[]> {
    const { rows } = await this.sql.query<DatabaseRow>(
      `SELECT ${DATABASE_COLUMNS} FROM ${DATABASES} WHERE ${VISIBLE} ORDER BY d.id`,
      actorParams(actor),
    );
    return rows.map(viewDatabase);
  }

  /** The same, names only. */
  async accessible(actor: Actor): Promise<DatabaseName[]> {
    const { rows } = await this.sql.query<DatabaseName>(
      `SELECT d.db_id, d.name, d.description FROM ${DATABASES} WHERE ${VISIBLE} ORDER BY d.id`,
      actorParams(actor),
    );
    return rows;
  }

  /** @throws {NotFoundError} also where it exists but is not for this actor. */
  async get(actor: Actor, dbId: string): Promise<DatabaseWithFiles> {
    const id = await this.access.read(actor, dbId);
    const [database, files] = await Promise.all([this.one(actor, dbId), listFiles(this.sql, id)]);
    return { ...database, files };
  }

  /**
   * Changes what is given; the rest stays.
   * @throws {NotFoundError} @throws {ForbiddenError} @throws {ValidationError}
   * @throws {ConflictError} when the new name is taken.
   */
  async update(actor: Actor, dbId: string, input: UpdateDatabase): Promise<DatabaseView> {
    const given = parseInput(updateDatabaseSchema, input);
    const id = await this.access.manage(actor, dbId);
    await this.named(given.name ?? '', () =>
      this.sql.query(
        `UPDATE databases SET name = coalesce($2, name), description = coalesce($3, description),
           llm_info = CASE WHEN $4::boolean THEN $5::jsonb ELSE llm_info END,
           additional_params = additional_params || coalesce($6::jsonb, '{}'),
           share_config = coalesce($7::jsonb, share_config), updated_at = now()
         WHERE id = $1`,
        [
          id,
          given.name ?? null,
          given.description ?? null,
          given.llm_info !== undefined,
          json(given.llm_info),
          json(given.additional_params),
          json(given.share_config),
        ],
      ),
    );
    return this.one(actor, dbId);
  }

  /** Removes a database with its files, chunks and contents that nothing else uses. */
  async remove(actor: Actor, dbId: string): Promise<void> {
    const id = await this.access.manage(actor, dbId);
    await this.sql.transaction(async (tx) => {
      // Waits for uploads under way (they hold a key share on this row), so that the list of contents is complete.
      const { rows: found } = await tx.query('SELECT 1 FROM databases WHERE id = $1 FOR UPDATE', [id]);
      if (!found[0]) throw new NotFoundError('Database', dbId);
      const { rows } = await tx.query<{ content_hash: string }>(
        'SELECT DISTINCT content_hash FROM files WHERE kb_id = $1',
        [id],
      );
      await tx.query('DELETE FROM databases WHERE id = $1', [id]);
      await collectBlobs(
        tx,
        rows.map((row) => row.content_hash),
      );
    });
  }

  /** The options of the database's kind, with its own values in the place of the defaults. */
  async queryParams(actor: Actor, dbId: string): Promise<QueryParams> {
    const { kb_type, query_params } = await this.one(actor, dbId);
    return { type: kb_type, options: withValues(this.kinds.get(kb_type).queryOptions, query_params as QueryValues) };
  }

  /**
   * Sets the keys given; others stay.
   * @throws {ValidationError} naming the first key that is unknown or breaks its rule.
   */
  async setQueryParams(actor: Actor, dbId: string, given: unknown): Promise<QueryParams> {
    const id = await this.access.manage(actor, dbId);
    const { kb_type } = await this.one(actor, dbId);
    const values = readQueryOptions(this.kinds.get(kb_type).queryOptions, given, '');
    await this.sql.query(
      'UPDATE databases SET query_params = query_params || $2::jsonb, updated_at = now() WHERE id = $1',
      [id, JSON.stringify(values)],
    );
    return this.queryParams(actor, dbId);
  }

  private async one(actor: Actor, dbId: string): Promise<DatabaseView> {
    const { rows } = await this.sql.query<DatabaseRow>(
      `SELECT ${DATABASE_COLUMNS} FROM ${DATABASES} WHERE d.db_id = $4 AND ${VISIBLE}`,
      [...actorParams(actor), dbId],
    );
    if (!rows[0]) throw new NotFoundError('Database', dbId);
    return viewDatabase(rows[0]);
  }

  private async named(name: string, write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ConflictError(`A database named ${JSON.stringify(name)} exists already; choose another name`, { name });
    }
  }
}

function json(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value);
}
