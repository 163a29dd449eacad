import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { STORAGE_SPACE, type StorageSpace } from '@yuxi/storage';
import { TaskQueue } from '@yuxi/tasks';

import { parseInput } from '../common/input.js';
import { type Actor, DatabaseAccess } from '../databases/access.js';
import { PROCESS_FILE, type ProcessFile } from '../indexing/file-processor.js';
import { NotFoundError, ValidationError } from '../knowledge.errors.js';
import {
  type AddParams,
  addParamsSchema,
  chunkParamsSchema,
  type IndexParams,
  indexParamsSchema,
  pickChunkParams,
} from './processing-params.js';

/** Most files of one call. */
export const MAX_ITEMS = 5000;

export interface Queued {
  message: string;
  status: 'queued';
  /** Id of the group of tasks, one task for each file. */
  task_id: string;
}

/** Turns requests into tasks, which any replica may run. */
@Injectable()
export class DocumentQueue {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(STORAGE_SPACE) private readonly space: StorageSpace,
    private readonly access: DatabaseAccess,
    private readonly tasks: TaskQueue,
  ) {}

  async add(actor: Actor, dbId: string, items: readonly string[], params: AddParams): Promise<Queued> {
    const { auto_index = false, ...given } = parseInput(addParamsSchema, params, 'params');
    const chunking = pickChunkParams(given);
    parseInput(chunkParamsSchema, chunking, 'params');
    const kbId = await this.#assertMayIndex(actor, dbId);
    const fileIds = await this.#resolve(kbId, items, 'items');
    const goal = auto_index ? 'indexed' : 'parsed';
    return this.sql.transaction(async (tx) => {
      await markAdded(tx, kbId, fileIds, chunking);
      return this.enqueue(actor, dbId, fileIds, { goal, params: chunking, force: false }, tx);
    });
  }

  async parse(actor: Actor, dbId: string, fileIds: readonly string[]): Promise<Queued> {
    const kbId = await this.#assertMayIndex(actor, dbId);
    const known = await this.#resolve(kbId, fileIds, 'file_ids');
    return this.enqueue(actor, dbId, known, { goal: 'parsed', params: {}, force: false });
  }

  async index(actor: Actor, dbId: string, fileIds: readonly string[], params: IndexParams): Promise<Queued> {
    const { force = false, ...given } = parseInput(indexParamsSchema, params, 'params');
    const chunking = pickChunkParams(given);
    parseInput(chunkParamsSchema, chunking, 'params');
    const kbId = await this.#assertMayIndex(actor, dbId);
    const known = await this.#resolve(kbId, fileIds, 'file_ids');
    return this.sql.transaction(async (tx) => {
      await markAdded(tx, kbId, known, {});
      return this.enqueue(actor, dbId, known, { goal: 'indexed', params: chunking, force }, tx);
    });
  }

  /** Checks the right to change the knowledge base, and the free space for the index. @throws {StorageFullError} */
  async #assertMayIndex(actor: Actor, dbId: string): Promise<number> {
    const kbId = await this.access.manage(actor, dbId);
    (await this.space.reserve())();
    return kbId;
  }

  /** Translates file ids and upload handles to file ids, in order and without repetition. */
  async #resolve(kbId: number, items: readonly string[], field: string): Promise<string[]> {
    if (!Array.isArray(items) || items.length === 0 || items.length > MAX_ITEMS)
      throw new ValidationError(field, `must be a list of 1..${MAX_ITEMS} file ids or upload handles`);
    const invalid = items.findIndex((item) => typeof item !== 'string' || item.includes('\0'));
    if (invalid >= 0) throw new ValidationError(`${field}.${invalid}`, 'must be a file id or upload handle');
    const { rows } = await this.sql.query<{ file_id: string; upload_handle: string }>(
      `SELECT file_id, upload_handle FROM files
       WHERE kb_id = $1 AND (file_id = ANY($2::text[]) OR upload_handle = ANY($2::text[]))`,
      [kbId, items],
    );
    const byName = new Map(
      rows.flatMap(
        (row) =>
          [
            [row.file_id, row.file_id],
            [row.upload_handle, row.file_id],
          ] as const,
      ),
    );
    const missing = items.find((item) => !byName.has(item));
    if (missing !== undefined) throw new NotFoundError('File', missing);
    return [...new Set(items.map((item) => byName.get(item)!))];
  }

  /** @param fileIds existing files that the actor may change */
  async enqueue(
    actor: Actor,
    dbId: string,
    fileIds: readonly string[],
    work: Pick<ProcessFile, 'goal' | 'params' | 'force'>,
    tx?: SqlClient,
  ): Promise<Queued> {
    const title = `${work.goal === 'indexed' ? 'Index' : 'Parse'} ${fileIds.length} file${fileIds.length === 1 ? '' : 's'}`;
    const task_id = await this.tasks.enqueueGroup(
      PROCESS_FILE,
      fileIds.map((fileId): ProcessFile => ({ dbId, fileId, ...work })),
      {
        title,
        name: 'knowledge.process_files',
        owner: String(actor.id),
        scope: dbId,
        payload: { db_id: dbId, count: fileIds.length },
      },
      tx,
    );
    return { message: title, status: 'queued', task_id };
  }
}

async function markAdded(tx: SqlClient, kbId: number, fileIds: readonly string[], params: object): Promise<void> {
  // The order of the locks prevents deadlocks when several replicas receive the same list.
  await tx.query(
    `WITH wanted AS MATERIALIZED (
       SELECT id FROM files
       WHERE kb_id = $1 AND file_id = ANY($2::text[]) AND (NOT added OR NOT params @> $3::jsonb)
       ORDER BY id FOR NO KEY UPDATE)
     UPDATE files SET added = true, params = params || $3::jsonb, updated_at = now()
     WHERE id IN (SELECT id FROM wanted)`,
    [kbId, fileIds, JSON.stringify(params)],
  );
}
