import { randomUUID } from 'node:crypto';
import { type DynamicModule, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { sleep, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { EmbeddingCacheModule } from '@yuxi/cache';
import { LiveConfig } from '@yuxi/config-sync';
import { EmbeddingModule, ModelHosts, modelSection } from '@yuxi/embedding';
import { LockModule, LockService } from '@yuxi/lock';
import { RedisModule } from '@yuxi/redis';
import { SagaModule, sagaMigrations, SagaService } from '@yuxi/saga';
import { BLOB_STORE, type BlobStore, type Role, StorageInfo, StorageModule } from '@yuxi/storage';
import { TaskRetryLater, TasksModule, tasksMigrations } from '@yuxi/tasks';

import type { Actor } from '../../../libs/knowledge/src/databases/access.js';
import { DatabasesService } from '../../../libs/knowledge/src/databases/databases.service.js';
import { FilesService } from '../../../libs/knowledge/src/files/files.service.js';
import { FileProcessor, type ProcessFile } from '../../../libs/knowledge/src/indexing/file-processor.js';
import { type IndexingHooks, NO_HOOKS } from '../../../libs/knowledge/src/indexing/hooks.js';
import { KnowledgeModule } from '../../../libs/knowledge/src/knowledge.module.js';
import { IngestService } from '../../../libs/knowledge/src/sagas/ingest.service.js';
import { Corpora } from '../../../libs/knowledge/src/search/corpora.js';
import { SearchService } from '../../../libs/knowledge/src/search/search.service.js';
import { VectorUpkeep } from '../../../libs/knowledge/src/vectors/upkeep.js';
import { EXACT_LIMIT } from '../../../libs/knowledge/src/vectors/vector-index.js';

/** The knowledge services of one replica. */
export interface Replica {
  sql: SqlClient;
  blobs: BlobStore;
  databases: DatabasesService;
  locks: LockService;
  files: FilesService;
  search: SearchService;
  corpora: Corpora;
  processor: FileProcessor;
  ingest: IngestService;
  upkeep: VectorUpkeep;
  sagas: SagaService;
  settings: SettingsInForce;
  storage: StorageInfo;
  /** Hooks of the replica; a test may replace them. */
  hooks: IndexingHooks;
  /** Runs the task of one file like a worker: again while it asks for a retry. */
  work(
    task: Pick<ProcessFile, 'dbId' | 'fileId'> & Partial<ProcessFile>,
    signal?: AbortSignal,
    /** Default: the first run of a new task. */
    run?: { id: string; attempt: number },
  ): Promise<unknown>;
  close(): Promise<void>;
}

export interface ReplicaOptions {
  /** Default: PGlite in memory. */
  databaseUrl?: string;
  /** Without it locks are local to this replica, as when Redis is unavailable. */
  redisUrl?: string;
  hooks?: Partial<IndexingHooks>;
  /** Whether a worker runs tasks and sagas. Default `false`. */
  worker?: boolean;
  /** Number of vectors up to which there is no vector index. */
  exactUpTo?: number;
  /** Allowed hosts of models, as in `ALLOWED_MODEL_HOSTS`. */
  modelHosts?: string;
}

/** Replaces the live configuration; has the sections of model and documents only. */
class SettingsInForce {
  /** Section with the limits of documents. */
  documents: Record<string, number> | undefined;
  #model: object = {};

  constructor(private readonly hosts: ModelHosts) {}

  get(): Record<string, unknown> {
    return { ...this.#model, documents: this.documents };
  }

  use(model: Record<string, unknown>): void {
    this.#model = { model: modelSection(this.hosts).parse(model) };
  }
}

/** Provides what ConfigSyncModule provides in the product. */
function settingsOf(settings: SettingsInForce): DynamicModule {
  const provider = { provide: LiveConfig, useValue: settings };
  return { module: SettingsInForce, global: true, providers: [provider], exports: [LiveConfig] };
}

export async function startReplica(options: ReplicaOptions = {}): Promise<Replica> {
  const { databaseUrl, redisUrl, worker = false } = options;
  const { hosts } = ModelHosts.parse(options.modelHosts);
  const settings = new SettingsInForce(hosts);
  const hooks: IndexingHooks = { ...NO_HOOKS, ...options.hooks };
  const builder = Test.createTestingModule({
    imports: [
      RedisModule.forRoot(redisUrl ? { url: redisUrl } : {}),
      StorageModule.forRoot({ databaseUrl, migrations: [...tasksMigrations, ...sagaMigrations] }),
      LockModule.forRoot(),
      TasksModule.forRoot({ worker, pollInterval: 50 }),
      EmbeddingCacheModule.forRoot(),
      EmbeddingModule.forRoot({ hosts }),
      SagaModule.forRoot(),
      KnowledgeModule.forRoot({ hooks }),
      settingsOf(settings),
    ],
  });
  if (options.exactUpTo !== undefined) builder.overrideProvider(EXACT_LIMIT).useValue(options.exactUpTo);
  const module = await builder.compile();
  Logger.overrideLogger(false);
  await module.init();
  const processor = module.get(FileProcessor);
  return {
    sql: module.get(SQL_CLIENT),
    blobs: module.get(BLOB_STORE),
    databases: module.get(DatabasesService),
    locks: module.get(LockService),
    files: module.get(FilesService),
    search: module.get(SearchService),
    corpora: module.get(Corpora),
    processor,
    ingest: module.get(IngestService),
    upkeep: module.get(VectorUpkeep),
    sagas: module.get(SagaService),
    settings,
    storage: module.get(StorageInfo),
    hooks,
    work: (task, signal = new AbortController().signal, run = { id: randomUUID(), attempt: 1 }) =>
      untilDone(() =>
        processor.handle(
          { goal: 'indexed', params: {}, force: false, ...task },
          {
            ...run,
            name: 'task',
            groupId: null,
            owner: null,
            signal,
            progress: () => undefined,
            once: () => Promise.reject(new Error('no effects here')),
          },
        ),
      ),
    close: () => module.close(),
  };
}

async function untilDone<T>(run: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof TaskRetryLater)) throw error;
      await sleep(20);
    }
  }
}

let users = 0;

/** Creates a user in the database. */
export async function newActor(
  sql: SqlClient,
  role: Role = 'user',
  departmentId: number | null = null,
): Promise<Actor> {
  const name = `user${++users}`;
  const { rows } = await sql.query<{ id: number }>(
    `INSERT INTO users (user_id, username, password_hash, role, department_id) VALUES ($1, $1, '-', $2, $3) RETURNING id`,
    [name, role, departmentId],
  );
  return { id: rows[0]!.id, role, departmentId };
}

export async function newDepartment(sql: SqlClient, name: string): Promise<number> {
  const { rows } = await sql.query<{ id: number }>('INSERT INTO departments (name) VALUES ($1) RETURNING id', [name]);
  return rows[0]!.id;
}

/** Uploads a text and adds it as a document. */
export async function addText(
  replica: Replica,
  actor: Actor,
  dbId: string,
  name: string,
  text: string,
): Promise<string> {
  const { file_id } = await replica.files.upload(actor, dbId, name, Buffer.from(text));
  await replica.files.add(actor, dbId, [file_id]);
  return file_id;
}

/** Number of rows of a table. */
export async function countOf(sql: SqlClient, table: string, where = 'true'): Promise<number> {
  const { rows } = await sql.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table} WHERE ${where}`);
  return rows[0]!.n;
}
