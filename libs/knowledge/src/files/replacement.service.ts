import { Inject, Injectable } from '@nestjs/common';
import { isForeignKeyViolation, isUniqueViolation, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { BLOB_STORE, type BlobStore, type Content, Spool } from '@yuxi/storage';

import { isHandle } from '../common/input.js';
import { type Actor, DatabaseAccess } from '../databases/access.js';
import { ConflictError, NotFoundError } from '../knowledge.errors.js';
import { safeFilename } from '../text/index.js';
import { DocumentQueue, type Queued } from './document-queue.service.js';
import { countUpload, MAX_UPLOAD_BYTES, PUT_ATTEMPTS, receive, type ReceivedFile } from './received-file.js';
import { collectBlobs } from './removal.service.js';

interface Place {
  kbId: number;
  dbId: string;
  fileId: string;
}

/** Gives a document another content. */
@Injectable()
export class ReplacementService {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(BLOB_STORE) private readonly blobs: BlobStore,
    private readonly access: DatabaseAccess,
    private readonly queue: DocumentQueue,
  ) {}

  /**
   * The document keeps its id. A task indexes the changed chunks, and searches use the old index until then.
   * @throws {ConflictError} when this or another file of the knowledge base has the same content
   */
  async replace(actor: Actor, dbId: string, fileId: string, given: string, source: Content): Promise<Queued> {
    const filename = safeFilename(given);
    const kbId = await this.access.manage(actor, dbId);
    if (!isHandle(fileId)) throw new NotFoundError('File', fileId);
    return Spool.use(source, { limit: MAX_UPLOAD_BYTES }, async (content) => {
      const file = await receive(this.sql, actor, filename, content);
      return this.#store(actor, { kbId, dbId, fileId }, file);
    });
  }

  async #store(actor: Actor, place: Place, file: ReceivedFile): Promise<Queued> {
    for (let attempt = 1; ; attempt++) {
      await this.blobs.put(file.content);
      try {
        return await this.sql.transaction((tx) => this.#write(tx, actor, place, file));
      } catch (error) {
        if (isUniqueViolation(error)) throw sameContent();
        // The content was deleted, because no file used it yet.
        if (!isForeignKeyViolation(error, 'content_hash') || attempt === PUT_ATTEMPTS) throw error;
      }
    }
  }

  /** The new claim number stops a run that still indexes the old content. */
  async #write(
    tx: SqlClient,
    actor: Actor,
    { kbId, dbId, fileId }: Place,
    { filename, type, content }: ReceivedFile,
  ): Promise<Queued> {
    const { rows } = await tx.query<{ id: number; content_hash: string }>(
      'SELECT id, content_hash FROM files WHERE kb_id = $1 AND file_id = $2 FOR UPDATE',
      [kbId, fileId],
    );
    const [old] = rows;
    if (!old) throw new NotFoundError('File', fileId);
    if (old.content_hash === content.hash) throw sameContent();
    await tx.query(
      `WITH ${countUpload('$6', '$4')}
       UPDATE files SET filename = $2, type = $3, size = $4, content_hash = $5, markdown = NULL, status = 'uploaded', error = NULL,
         claim = claim + 1, claim_until = NULL, added = true, updated_at = now()
       WHERE id = $1`,
      [old.id, filename, type, content.size, content.hash, actor.id],
    );
    await collectBlobs(tx, [old.content_hash]);
    return this.queue.enqueue(actor, dbId, [fileId], { goal: 'indexed', params: {}, force: false }, tx);
  }
}

function sameContent(): ConflictError {
  return new ConflictError('This database already has a file with the same content');
}
