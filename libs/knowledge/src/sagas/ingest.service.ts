import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { type SagaDetails, SagaNotFoundError, SagaService, type SagaView } from '@yuxi/saga';
import { STORAGE_SPACE, type StorageSpace } from '@yuxi/storage';

import { isHandle, parseInput } from '../common/input.js';
import { type Actor, DatabaseAccess } from '../databases/access.js';
import { type ChunkParams, chunkParamsSchema } from '../files/processing-params.js';
import { NotFoundError } from '../knowledge.errors.js';
import { INGEST, type Ingest } from './ingest.saga.js';

export interface Ingestion {
  saga_id: string;
  file_id: string;
}

/** Starts sagas that make an upload a searchable document, or leave nothing of it. */
@Injectable()
export class IngestService {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(STORAGE_SPACE) private readonly space: StorageSpace,
    private readonly access: DatabaseAccess,
    private readonly sagas: SagaService,
  ) {}

  /**
   * Starts a saga. A second call for the same upload returns the same saga.
   * @param file upload handle or file id
   * @throws {NotFoundError} {@link ForbiddenError} {@link ValidationError} {@link StorageFullError}
   */
  async start(actor: Actor, dbId: string, file: string, params: ChunkParams = {}): Promise<Ingestion> {
    const chunking = parseInput(chunkParamsSchema, params, 'params');
    const kbId = await this.access.manage(actor, dbId);
    (await this.space.reserve())();
    const { rows } = await this.sql.query<{ file_id: string }>(
      'SELECT file_id FROM files WHERE kb_id = $1 AND (file_id = $2 OR upload_handle = $2)',
      [kbId, isHandle(file) ? file : ''],
    );
    if (!rows[0]) throw new NotFoundError('File', file);
    const input: Ingest = { kbId, dbId, fileId: rows[0].file_id, params: chunking };
    const { id } = await this.sagas.start(INGEST, input, { key: input.fileId });
    return { saga_id: id, file_id: input.fileId };
  }

  /** @throws {NotFoundError} {@link ForbiddenError}; {@link SagaNotFoundError} also for a saga of another kind or knowledge base */
  async get(actor: Actor, dbId: string, sagaId: string): Promise<SagaDetails> {
    await this.access.manage(actor, dbId);
    const saga = await this.sagas.get(sagaId);
    if (saga.name !== INGEST || (saga.input as Ingest).dbId !== dbId) throw new SagaNotFoundError(sagaId);
    return saga;
  }

  /** Removes the file, unless it is published. @throws the errors of {@link get}; {@link SagaStateError} when it is published */
  async cancel(actor: Actor, dbId: string, sagaId: string): Promise<SagaView> {
    await this.get(actor, dbId, sagaId);
    return this.sagas.cancel(sagaId);
  }
}
