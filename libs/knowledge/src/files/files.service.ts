import { Readable } from 'node:stream';

import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { BLOB_STORE, type BlobStore, type Content, STORAGE_SPACE, type StorageSpace } from '@yuxi/storage';

import { isHandle } from '../common/input.js';
import { type Actor, DatabaseAccess } from '../databases/access.js';
import { NotFoundError, ValidationError } from '../knowledge.errors.js';
import { DocumentQueue, MAX_ITEMS, type Queued } from './document-queue.service.js';
import { type FileMeta, readFileMeta } from './file.view.js';
import type { AddParams, IndexParams } from './processing-params.js';
import { RemovalService } from './removal.service.js';
import { ReplacementService } from './replacement.service.js';
import { UploadService, type UploadResult } from './upload.service.js';

export interface FileLine {
  id: string;
  content: string;
  chunk_order_index: number;
}

export interface FileContent {
  /** The chunks, in order; empty before indexing. */
  lines: FileLine[];
  /** The markdown; empty before parsing. */
  content: string;
}

export interface Download {
  filename: string;
  /** Extension without the dot. */
  type: string;
  /** Bytes. */
  size: number;
  content: Readable;
}

export interface BatchRemoval {
  message: string;
  deleted_count: number;
  failed_items: { file_id: string; error: string }[];
}

/**
 * Files of a knowledge base. Calls that change something need the right to change the database, the others the right to read it.
 * Every call throws {@link NotFoundError} for a database or file that does not exist, or that the actor may not see.
 */
@Injectable()
export class FilesService {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(BLOB_STORE) private readonly blobs: BlobStore,
    @Inject(STORAGE_SPACE) private readonly space: StorageSpace,
    private readonly access: DatabaseAccess,
    private readonly uploads: UploadService,
    private readonly queue: DocumentQueue,
    private readonly removal: RemovalService,
    private readonly replacement: ReplacementService,
  ) {}

  /** Checks rights and free space before the content is read. @throws {StorageFullError} */
  async assertMayUpload(actor: Actor, dbId: string): Promise<void> {
    await this.access.manage(actor, dbId);
    (await this.space.reserve())();
  }

  /**
   * Stores a content. {@link add} makes it a document of the database.
   * @throws {ConflictError} when the database has a file with the same content; `details` name that file.
   * @throws {PayloadTooLargeError} @throws {QuotaExceededError} and errors EMPTY_FILE, UNSUPPORTED_TYPE, INVALID_FILENAME
   */
  upload(actor: Actor, dbId: string, filename: string, content: Content): Promise<UploadResult> {
    return this.uploads.upload(actor, dbId, filename, content);
  }

  /**
   * Gives a document another content under the same id. Unchanged chunks are neither embedded nor indexed again.
   * @throws {ConflictError} and the errors of {@link upload}
   */
  replace(actor: Actor, dbId: string, fileId: string, filename: string, content: Content): Promise<Queued> {
    return this.replacement.replace(actor, dbId, fileId, filename, content);
  }

  /**
   * Makes uploads documents of the database. Tasks parse them and, with `auto_index`, index them.
   * @param items upload handles or file ids, at most {@link MAX_ITEMS}; one unknown item refuses the call.
   */
  add(actor: Actor, dbId: string, items: readonly string[], params: AddParams = {}): Promise<Queued> {
    return this.queue.add(actor, dbId, items, params);
  }

  /** Parses files that are not parsed yet, by tasks. */
  parse(actor: Actor, dbId: string, fileIds: readonly string[]): Promise<Queued> {
    return this.queue.parse(actor, dbId, fileIds);
  }

  /** Indexes files by tasks, and parses them first if needed. Without `force` an unchanged file is skipped. */
  index(actor: Actor, dbId: string, fileIds: readonly string[], params: IndexParams = {}): Promise<Queued> {
    return this.queue.index(actor, dbId, fileIds, params);
  }

  async get(actor: Actor, dbId: string, fileId: string): Promise<{ meta: FileMeta } & FileContent> {
    const kbId = await this.access.read(actor, dbId);
    const [meta, content] = await Promise.all([this.#meta(kbId, fileId), this.#lines(kbId, fileId)]);
    return { meta, ...content };
  }

  async basic(actor: Actor, dbId: string, fileId: string): Promise<{ meta: FileMeta }> {
    return { meta: await this.#meta(await this.access.read(actor, dbId), fileId) };
  }

  async content(actor: Actor, dbId: string, fileId: string): Promise<FileContent> {
    return this.#lines(await this.access.read(actor, dbId), fileId);
  }

  /** The bytes as uploaded. */
  async download(actor: Actor, dbId: string, fileId: string): Promise<Download> {
    const { filename, type, size, content_hash } = await this.#meta(await this.access.read(actor, dbId), fileId);
    return { filename, type, size, content: Readable.from(this.blobs.read(content_hash), { objectMode: false }) };
  }

  async remove(actor: Actor, dbId: string, fileId: string): Promise<void> {
    const kbId = await this.access.manage(actor, dbId);
    if (!isHandle(fileId) || !(await this.removal.remove(kbId, [fileId])).has(fileId))
      throw new NotFoundError('File', fileId);
  }

  /** Removes the files that exist; `failed_items` lists the others. */
  async removeBatch(actor: Actor, dbId: string, fileIds: readonly string[]): Promise<BatchRemoval> {
    if (!Array.isArray(fileIds) || fileIds.length === 0 || fileIds.length > MAX_ITEMS)
      throw new ValidationError('file_ids', `must be a list of 1..${MAX_ITEMS} file ids`);
    const kbId = await this.access.manage(actor, dbId);
    const removed = await this.removal.remove(kbId, fileIds.filter(isHandle));
    const failed = [...new Set(fileIds)].filter((id) => !removed.has(id));
    return {
      message: `${removed.size} deleted, ${failed.length} not found`,
      deleted_count: removed.size,
      failed_items: failed.map((file_id) => ({ file_id, error: 'not found' })),
    };
  }

  async #meta(kbId: number, fileId: string): Promise<FileMeta> {
    const meta = isHandle(fileId) ? await readFileMeta(this.sql, kbId, fileId) : undefined;
    if (!meta) throw new NotFoundError('File', fileId);
    return meta;
  }

  async #lines(kbId: number, fileId: string): Promise<FileContent> {
    if (!isHandle(fileId)) throw new NotFoundError('File', fileId);
    const { rows } = await this.sql.query<{ markdown: string | null; lines: FileLine[] }>(
      `SELECT f.markdown, coalesce((
         SELECT json_agg(json_build_object('id', c.chunk_id, 'content', c.content, 'chunk_order_index', c.chunk_index)
                         ORDER BY c.chunk_index)
         FROM chunks c WHERE c.file_id = f.id AND c.chunk_index >= 0), '[]') AS lines
       FROM files f WHERE f.kb_id = $1 AND f.file_id = $2`,
      [kbId, fileId],
    );
    if (!rows[0]) throw new NotFoundError('File', fileId);
    return { lines: rows[0].lines, content: rows[0].markdown ?? '' };
  }
}
