import { Inject } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { type CompensationContext, Saga, type SagaContext, SagaRejectedError, SagaStep } from '@yuxi/saga';
import { BLOB_STORE, type BlobStore } from '@yuxi/storage';
import { z } from 'zod';

import { chunkParamsSchema } from '../files/processing-params.js';
import { RemovalService } from '../files/removal.service.js';
import { FileProcessor, type ProcessFile, type ProcessResult } from '../indexing/file-processor.js';
import { FileStates } from '../indexing/file-state.js';
import { IndexStep } from '../indexing/index-step.js';
import { LargeDocuments } from '../indexing/large-documents.js';

/** Name of the saga that makes an upload a document. */
export const INGEST = 'knowledge.ingest';

export const ingestSchema = z.object({
  kbId: z.int(),
  dbId: z.string(),
  fileId: z.string(),
  params: chunkParamsSchema,
});
export type Ingest = z.infer<typeof ingestSchema>;

/** Errors of these steps may be temporary: another run holds the file, or a provider is unavailable. */
const RETRY = { attempts: 8, backoff: '1s', maxBackoff: '1m' } as const;

/**
 * Makes an upload a searchable document. If it cannot be parsed, if the model refuses, or on a cancel, the file is removed. Only the last
 * step makes the document visible in searches and lists.
 */
@Saga({ name: INGEST, version: 1, schema: ingestSchema, scope: ({ dbId }) => dbId })
export class IngestSaga {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(BLOB_STORE) private readonly blobs: BlobStore,
    private readonly removal: RemovalService,
    private readonly files: FileStates,
    private readonly processor: FileProcessor,
    private readonly indexing: IndexStep,
    private readonly large: LargeDocuments,
  ) {}

  /** Checks that the content exists. Its compensation removes the file when a later step fails. */
  @SagaStep({ order: 1, compensate: 'discard' })
  async blob({ input }: SagaContext<Ingest>): Promise<void> {
    const file = await this.files.read(input.dbId, input.fileId);
    if (!file || !(await this.blobs.has(file.contentHash))) throw fileDeleted();
  }

  async discard({ input }: CompensationContext<Ingest>): Promise<void> {
    await this.removal.remove(input.kbId, [input.fileId]);
  }

  @SagaStep({ order: 2, compensate: false, retry: RETRY })
  async parse({ input, signal }: SagaContext<Ingest>): Promise<ProcessResult> {
    return this.#process(input, 'parsed', signal);
  }

  /** Puts the vectors into the cache; searches do not find the document yet. */
  @SagaStep({ order: 3, compensate: false, retry: RETRY })
  async index({ input, signal }: SagaContext<Ingest>): Promise<{ embedded: number }> {
    const file = await this.files.read(input.dbId, input.fileId);
    if (!file) throw fileDeleted();
    using _ = await this.large.enter(file.size, { signal, wait: true });
    const markdown = await this.files.markdown(file);
    if (markdown === null) throw fileDeleted();
    return { embedded: await this.indexing.warm(file, markdown, { ...input, force: false }, signal) };
  }

  @SagaStep({ order: 4, compensate: false, pivot: true })
  async publish({ input, signal }: SagaContext<Ingest>): Promise<ProcessResult> {
    const result = await this.#process(input, 'indexed', signal);
    await this.sql.query('UPDATE files SET added = true, updated_at = now() WHERE file_id = $1', [input.fileId]);
    return result;
  }

  async #process(
    { dbId, fileId, params }: Ingest,
    goal: ProcessFile['goal'],
    signal: AbortSignal,
  ): Promise<ProcessResult> {
    const context = { signal, progress: () => undefined, wait: true };
    const result = await this.processor.process({ dbId, fileId, goal, params, force: false }, context);
    if (result.skipped === 'deleted') throw fileDeleted();
    return result;
  }
}

function fileDeleted(): SagaRejectedError {
  return new SagaRejectedError('the file was deleted');
}
