import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { SQL_CLIENT } from '@yuxi/core';

import { LiveDefaults } from './common/live-defaults.js';
import { DatabaseAccess, TaskAccess } from './databases/access.js';
import { DatabasesService } from './databases/databases.service.js';
import { KindRegistry, KINDS, KNOWLEDGE_BASE_KINDS } from './databases/kinds.js';
import { DocumentQueue } from './files/document-queue.service.js';
import { FilesService } from './files/files.service.js';
import { RemovalService } from './files/removal.service.js';
import { ReplacementService } from './files/replacement.service.js';
import { UploadService } from './files/upload.service.js';
import { FileClaims } from './indexing/claim.js';
import { ClaimedRun } from './indexing/claimed-run.js';
import { FileProcessor } from './indexing/file-processor.js';
import { FileStates } from './indexing/file-state.js';
import { HiddenChunks } from './indexing/hidden-chunks.js';
import { INDEXING_HOOKS, type IndexingHooks, NO_HOOKS } from './indexing/hooks.js';
import { IndexCommit } from './indexing/index-commit.js';
import { IndexStep } from './indexing/index-step.js';
import { LargeDocuments } from './indexing/large-documents.js';
import { DocumentThreads } from './indexing/threads/document-threads.js';
import { ChangeModelSaga } from './sagas/change-model.saga.js';
import { DeleteDatabaseSaga } from './sagas/delete-database.saga.js';
import { IngestSaga } from './sagas/ingest.saga.js';
import { IngestService } from './sagas/ingest.service.js';
import { Corpora } from './search/corpora.js';
import { SearchService } from './search/search.service.js';
import { Embedder } from './vectors/embedder.js';
import { Generations, VectorRows } from './vectors/generations.js';
import { VectorUpkeep } from './vectors/upkeep.js';
import { EXACT_LIMIT, exactLimitOf, VectorIndexes } from './vectors/vector-index.js';

export interface KnowledgeOptions {
  /** Points where tests stop indexing or switch off a protection. Default none. */
  hooks?: IndexingHooks;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<KnowledgeOptions>({ moduleName: 'Knowledge' }).setClassMethodName('forRoot').build();

/**
 * Knowledge bases: access, files, indexing, search. Needs StorageModule, LockModule, TasksModule, SagaModule and EmbeddingModule. Uses the
 * settings of ConfigSyncModule if the application imports it.
 */
@Module({
  providers: [
    { provide: KNOWLEDGE_BASE_KINDS, useValue: KINDS },
    {
      provide: INDEXING_HOOKS,
      inject: [MODULE_OPTIONS_TOKEN],
      useFactory: ({ hooks = NO_HOOKS }: KnowledgeOptions) => hooks,
    },
    KindRegistry,
    LiveDefaults,
    DatabaseAccess,
    TaskAccess,
    DatabasesService,
    UploadService,
    DocumentQueue,
    RemovalService,
    ReplacementService,
    FilesService,
    IngestService,
    FileStates,
    FileClaims,
    ClaimedRun,
    { provide: DocumentThreads, useFactory: () => new DocumentThreads() },
    Generations,
    Embedder,
    VectorRows,
    { provide: EXACT_LIMIT, useFactory: exactLimitOf, inject: [SQL_CLIENT] },
    VectorIndexes,
    VectorUpkeep,
    ChangeModelSaga,
    DeleteDatabaseSaga,
    IngestSaga,
    HiddenChunks,
    LargeDocuments,
    IndexCommit,
    IndexStep,
    FileProcessor,
    Corpora,
    SearchService,
  ],
  exports: [
    DatabasesService,
    FilesService,
    IngestService,
    SearchService,
    TaskAccess,
    FileProcessor,
    Generations,
    KindRegistry,
    VectorUpkeep,
  ],
})
export class KnowledgeModule extends ConfigurableModuleClass {
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}
