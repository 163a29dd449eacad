import { Inject, Injectable } from '@nestjs/common';
import { isForeignKeyViolation, isUniqueViolation, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { BLOB_STORE, type BlobStore, type Content, Spool } from '@yuxi/storage';

import type { Actor } from '../actor.js';
import { newHandle } from '../common/handle.js';
import { DatabaseAccess } from '../databases/database-access.js';
import { ConflictError, NotFoundError } from '../knowledge.errors.js';
import { safeFilename } from '../text/index.js';
import { collectBlobs } from './blob-collection.js';
import { countUpload } from './quota.js';
import { MAX_UPLOAD_BYTES, PUT_ATTEMPTS, receive, type ReceivedFile } from './received-file.js';

export interface SameNameFile {
  file_id: string;
  filename: string;
  size: number;
  created_at: string;
}

export interface UploadResult {
  message: string;
  file_id: string;
  /** Random handle, to be given to `add`. */
  file_path: string;
  db_id: string;
  content_hash: string;
  /** Cleaned name, as kept. */
  filename: string;
  /** Name as sent. */
  original_filename: string;
  same_name_files: SameNameFile[];
  has_same_name: boolean;
}

interface NewFile extends ReceivedFile {
  kbId: number;
  ownerId: number;
  fileId: string;
  handle: string;
}

@Injectable()
export class UploadService {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(BLOB_STORE) private readonly blobs: BlobStore,
    private readonly access: DatabaseAccess,
  ) {}

  async upload(actor: Actor, dbId: string, given: string, source: Content): Promise<UploadResult> {
    const filename = safeFilename(given);
    const kbId = await this.access.manage(actor, dbId);
    return Spool.lend(source, { limit: MAX_UPLOAD_BYTES }, async (content) => {
      const file = await receive(this.sql, actor, filename, content);
      return this.keep(dbId, given, {
        ...file,
        kbId,
        ownerId: actor.id,
        fileId: newHandle('file'),
        handle: newHandle('upload'),
      });
    });
  }

  private async keep(dbId: string, given: string, file: NewFile): Promise<UploadResult> {
    const { fileId, handle, filename, content } = file;
    const sameName = await this.store(dbId, file);
    return {
      message: 'File uploaded',
      file_id: fileId,
      file_path: handle,
      db_id: dbId,
      content_hash: content.hash,
      filename,
      original_filename: given,
      same_name_files: sameName,
      has_same_name: sameName.length > 0,
    };
  }

  /** @returns the other files of the same name */
  private async store(dbId: string, file: NewFile): Promise<SameNameFile[]> {
    for (let attempt = 1; ; attempt++) {
      await this.blobs.put(file.content);
      try {
        return await this.insert(file);
      } catch (error) {
        const taken = isUniqueViolation(error) && (await this.sameContent(file));
        if (taken) throw new ConflictError('This database holds a file with the same content already', taken);
        if (isForeignKeyViolation(error, 'kb_id')) {
          await this.sql.transaction((tx) => collectBlobs(tx, [file.content.hash]));
          throw new NotFoundError('Database', dbId);
        }
        // What is left is worth another round: the file with the same content was deleted between our put and our
        // insert, or just after it refused ours.
        const passing = isUniqueViolation(error) || isForeignKeyViolation(error, 'content_hash');
        if (!passing || attempt === PUT_ATTEMPTS) throw error;
      }
    }
  }

  private async insert(file: NewFile): Promise<SameNameFile[]> {
    const { rows } = await this.sql.query<Omit<SameNameFile, 'created_at'> & { created_at: Date | string }>(
      `WITH ${countUpload('$4', '$7')},
       added AS (
         INSERT INTO files (file_id, kb_id, upload_handle, owner_id, filename, type, size, content_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8))
       SELECT file_id, filename, size::float8 AS size, created_at FROM files
       WHERE kb_id = $2 AND filename = $5 ORDER BY id LIMIT 100`,
      [
        file.fileId,
        file.kbId,
        file.handle,
        file.ownerId,
        file.filename,
        file.type,
        file.content.size,
        file.content.hash,
      ],
    );
    return rows.map((row) => ({ ...row, created_at: new Date(row.created_at).toISOString() }));
  }

  private async sameContent({ kbId, content }: NewFile): Promise<Record<string, string> | undefined> {
    const { rows } = await this.sql.query<Record<string, string>>(
      `SELECT file_id, upload_handle AS file_path, filename FROM files WHERE kb_id = $1 AND content_hash = $2`,
      [kbId, content.hash],
    );
    return rows[0];
  }
}
