import { Inject, Injectable } from '@nestjs/common';
import { isUniqueViolation, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { EmbeddingModels } from '@yuxi/embedding';
import { LockBusyError, type LockOptions, LockService, LockUnavailableError } from '@yuxi/lock';
import { SagaService } from '@yuxi/saga';

import { newHandle, parseInput } from '../common/input.js';
import { type FileEntry, listFiles } from '../files/file.view.js';
import { ConflictError, NotFoundError, ValidationError } from '../knowledge.errors.js';
import { DeleteDatabaseSaga } from '../sagas/delete-database.saga.js';
import {
  type QueryOption,
  type QueryValues,
  readQueryOptions,
  searchDefaults,
  withValues,
} from '../search/search-options.js';
import { Generations } from '../vectors/generations.js';
import { type Actor, actorParams, DatabaseAccess, DATABASES, VISIBLE } from './access.js';
import {
  type CreateDatabase,
  createDatabaseSchema,
  type UpdateDatabase,
  updateDatabaseSchema,
} from './database.schemas.js';
import { DATABASE_COLUMNS, type DatabaseRow, type DatabaseView, viewDatabase } from './database.view.js';
import { KindRegistry } from './kinds.js';

export type DatabaseName = Pick<DatabaseView, 'db_id' | 'name' | 'description'>;
export type DatabaseWithFiles = DatabaseView & { files: Record<string, FileEntry> };

export interface QueryParams {
  type: string;
  options: QueryOption[];
}

/** Knowledge bases. Every call reads the database, and reading never writes. */
@Injectable()
export class DatabasesService {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly access: DatabaseAccess,
    private readonly kinds: KindRegistry,
    private readonly generations: Generations,
    private readonly models: EmbeddingModels,
    private readonly sagas: SagaService,
    private readonly locks: LockService,
  ) {}

  /**
   * @throws {ValidationError} also for an unknown `kb_type`.
   * @throws {ConflictError} when a database of any user has the name.
   */
  async create(actor: Actor, input: CreateDatabase): Promise<DatabaseWithFiles> {
    const given = parseInput(createDatabaseSchema, input);
    const kind = this.kinds.get(given.kb_type);
    this.#assertModel(given.embed_model_name);
    const dbId = newHandle('kb');
    // The unique index decides. The lock is for Python replicas of the legacy API, which hold it while they create a database.
    await using _ = await this.locks.acquire(lockOf(given.database_name), CREATING).catch(unlessBusy);
    const first = this.generations.first();
    await this.#orConflict(given.database_name, () =>
      this.sql.query(
        `WITH made AS (
           INSERT INTO databases (db_id, name, description, kb_type, owner_id, share_config, additional_params, llm_info)
           VALUES ($1, $2, $3, $4, $5, coalesce($6::jsonb, '{"visibility":"private","departments":[]}'), $7::jsonb, $8::jsonb)
           RETURNING id, index_generation)
         INSERT INTO index_generations (kb_id, generation, model, fingerprint, state)
         SELECT id, index_generation, $9::jsonb, $10::text, 'live' FROM made WHERE $9::jsonb IS NOT NULL`,
        [
          dbId,
          given.database_name,
          given.description,
          kind.type,
          actor.id,
          json(given.share_config),
          json(given.additional_params),
          json(given.llm_info),
          first?.model ?? null,
          first?.fingerprint ?? null,
        ],
      ),
    );
    return { ...(await this.#one(actor, dbId)), files: {} };
  }

  /** All databases the actor may read, oldest first. */
  async list(actor: Actor): Promise<DatabaseView[]> {
    const { rows } = await this.sql.query<DatabaseRow>(
      `SELECT ${DATABASE_COLUMNS} FROM ${DATABASES} WHERE ${VISIBLE} ORDER BY d.id`,
      actorParams(actor),
    );
    return rows.map(viewDatabase);
  }

  /** Like {@link list}, names only. */
  async accessible(actor: Actor): Promise<DatabaseName[]> {
    const { rows } = await this.sql.query<DatabaseName>(
      `SELECT d.db_id, d.name, d.description FROM ${DATABASES} WHERE ${VISIBLE} ORDER BY d.id`,
      actorParams(actor),
    );
    return rows;
  }

  /** @throws {NotFoundError} also when the actor may not see it. */
  async get(actor: Actor, dbId: string): Promise<DatabaseWithFiles> {
    const id = await this.access.read(actor, dbId);
    const [database, files] = await Promise.all([this.#one(actor, dbId), listFiles(this.sql, id)]);
    return { ...database, files };
  }

  /**
   * Changes the given values; the others stay.
   * @throws {NotFoundError} @throws {ForbiddenError} @throws {ValidationError}
   * @throws {ConflictError} when the new name is taken.
   */
  async update(actor: Actor, dbId: string, input: UpdateDatabase): Promise<DatabaseView> {
    const given = parseInput(updateDatabaseSchema, input);
    const id = await this.access.manage(actor, dbId);
    await this.#orConflict(given.name ?? '', () =>
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
    return this.#one(actor, dbId);
  }

  /**
   * Hides a database at once. A saga then removes its files, chunks and contents in small steps.
   */
  async remove(actor: Actor, dbId: string): Promise<{ saga_id: string }> {
    const kbId = await this.access.manage(actor, dbId);
    return this.sql.transaction(async (tx) => {
      const { rows } = await tx.query(
        'UPDATE databases SET deleted_at = now(), updated_at = now() WHERE id = $1 AND deleted_at IS NULL RETURNING 1',
        [kbId],
      );
      if (!rows[0]) throw new NotFoundError('Database', dbId);
      const { id } = await this.sagas.start(DeleteDatabaseSaga, { kbId, dbId }, {}, tx);
      return { saga_id: id };
    });
  }

  /** The search options of the database, with its own values as defaults. */
  async queryParams(actor: Actor, dbId: string): Promise<QueryParams> {
    const { kb_type, query_params, embed_info } = await this.#one(actor, dbId);
    const values = { ...searchDefaults(embed_info), ...query_params } as QueryValues;
    return { type: kb_type, options: withValues(this.kinds.get(kb_type).queryOptions, values) };
  }

  /**
   * Sets the given options; the others stay.
   * @throws {ValidationError} naming the first key that is unknown or breaks its rule.
   */
  async setQueryParams(actor: Actor, dbId: string, given: unknown): Promise<QueryParams> {
    const id = await this.access.manage(actor, dbId);
    const { kb_type } = await this.#one(actor, dbId);
    const values = readQueryOptions(this.kinds.get(kb_type).queryOptions, given, '');
    await this.sql.query(
      'UPDATE databases SET query_params = query_params || $2::jsonb, updated_at = now() WHERE id = $1',
      [id, JSON.stringify(values)],
    );
    return this.queryParams(actor, dbId);
  }

  /** All knowledge bases use one model, so a request for another one is refused. */
  #assertModel(name: string | null | undefined): void {
    const { model } = this.models.current();
    if (name && name !== model)
      throw new ValidationError('embed_model_name', `must be ${JSON.stringify(model)}, the model of the settings`);
  }

  async #one(actor: Actor, dbId: string): Promise<DatabaseView> {
    const { rows } = await this.sql.query<DatabaseRow>(
      `SELECT ${DATABASE_COLUMNS} FROM ${DATABASES} WHERE d.db_id = $4 AND ${VISIBLE}`,
      [...actorParams(actor), dbId],
    );
    if (!rows[0]) throw new NotFoundError('Database', dbId);
    return viewDatabase(rows[0]);
  }

  async #orConflict(name: string, write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ConflictError(`A database named ${JSON.stringify(name)} already exists; choose another name`, { name });
    }
  }
}

/** `interop`, because Python replicas do not publish the release of a lock. */
const CREATING: LockOptions = { ttl: '10s', wait: '10s', interop: true };

function unlessBusy(error: unknown): undefined {
  if (!(error instanceof LockBusyError || error instanceof LockUnavailableError)) throw error;
}

/** Names of locks must not contain control characters; names of databases may. */
function lockOf(name: string): string {
  return `create_db_${name.replaceAll(/\p{Cc}/gu, ' ')}`;
}

function json(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value);
}
