import { Injectable } from '@nestjs/common';
import { requestContext } from '@yuxi/observability';
import { map } from 'rxjs';
import type { Observable } from 'rxjs';
import { ConfigReplica } from './config-replica.js';
import type { AppliedConfig } from './config-replica.js';
import { ConfigUnavailableError } from './config-sync.errors.js';
import { ConfigWriter, type WriteOptions } from './config-writer.js';
import { ConfigSchema, type Values } from './schema/config-schema.js';
import type { ConfigDifference } from './schema/diff.js';
import type { ConfigHead } from './store/config-head.js';
import { ConfigHistory, type ConfigRevision, type HistoryQuery } from './store/config-history.js';

/** A merge patch over sections: what is absent stays, null returns to the default. */
export type ConfigPatch<T> = Partial<{ [Name in keyof T]: Partial<Record<keyof T[Name], unknown>> | null }>;

export type UpdateOptions = WriteOptions;

export interface ConfigUpdate {
  revision: number;
  hash: string;
  /** Whether this replica serves it already; if not, it tries again with each reconcile and the log says why. */
  applied: boolean;
}

export interface ConfigSnapshot<T> {
  revision: number;
  hash: string;
  values: Readonly<T>;
}

export interface ConfigPreview {
  /** The head that the patch would go on top of. */
  revision: number;
  hash: string;
  changes: ConfigDifference[];
}

/**
 * The configuration of all replicas. `T` is what the sections' schemas make: `LiveConfig<ConfigOf<typeof sections>>`.
 * Reading is a property access; every replica follows a change within milliseconds, and within 2.5 s when notices are lost.
 * One request sees one revision from its first look to its end, whatever is committed meanwhile; its own changes it sees.
 */
@Injectable()
export class LiveConfig<T extends object = Record<string, Record<string, unknown>>> {
  /** By the context of the request. */
  private readonly pinned = new WeakMap<object, AppliedConfig>();

  /** Each revision that came into force on this replica, in order. */
  readonly changes: Observable<ConfigSnapshot<T>>;

  constructor(
    private readonly replica: ConfigReplica,
    private readonly schema: ConfigSchema,
    private readonly writer: ConfigWriter,
    private readonly revisions: ConfigHistory,
  ) {
    this.changes = replica.changes.pipe(map((applied) => toSnapshot<T>(applied)));
  }

  /**
   * All sections in force: one frozen object per revision, so take it once where several values must fit together.
   * @throws {ConfigUnavailableError} until the first read succeeded and while there is no last known good file.
   */
  get(): Readonly<T> {
    return this.current().values as T;
  }

  /** @throws {ConfigUnavailableError} as {@link get}. */
  section<Name extends keyof T>(name: Name): Readonly<T[Name]> {
    return this.get()[name];
  }

  /** Values with the revision they belong to. @throws {ConfigUnavailableError} as {@link get}. */
  snapshot(): ConfigSnapshot<T> {
    return toSnapshot(this.current());
  }

  /** As {@link snapshot}, with `***` for each reference to a secret: to be shown. @throws {ConfigUnavailableError} as {@link get}. */
  masked(): ConfigSnapshot<T> {
    const { values, ...version } = this.snapshot();
    return { ...version, values: this.schema.secrets.mask(values as Values) as T };
  }

  /** Revision in force. @throws {ConfigUnavailableError} as {@link get}. */
  get revision(): number {
    return this.current().head.revision;
  }

  /** The keys of each section. */
  get keys(): Readonly<Record<string, readonly string[]>> {
    return this.schema.keys;
  }

  /** Changes when the sections' schemas do. */
  get schemaVersion(): string {
    return this.schema.version;
  }

  /** Reads the head now. Never rejects; nobody has to call it. */
  refresh(): Promise<void> {
    return this.replica.refresh();
  }

  /**
   * Commits one more revision, tells all replicas and applies it here. Concurrent updates wait for each other and none is lost.
   * A patch that changes nothing makes no revision.
   * @throws {ConfigValidationError} naming path, rule and value; nothing was changed.
   * @throws {ConfigConflictError} when the head is not the one named, with what changed since; nothing was changed.
   * @throws {ConfigUnavailableError} when the database failed; if the connection broke, the change may have been made.
   */
  async update(patch: ConfigPatch<T>, options: UpdateOptions = {}): Promise<ConfigUpdate> {
    return this.written(await this.writer.update(patch, options));
  }

  /**
   * Commits one more revision with the content of an earlier one, as {@link update} does and with its errors.
   * @throws {ConfigRevisionError} when there was no such revision.
   */
  async rollback(revision: number, options: UpdateOptions = {}): Promise<ConfigUpdate> {
    return this.written(await this.writer.rollback(revision, options));
  }

  /** What {@link update} would change; changes nothing. @throws as {@link update}. */
  async preview(patch: ConfigPatch<T>, options: UpdateOptions = {}): Promise<ConfigPreview> {
    const { head, changes } = await this.writer.preview(patch, options);
    return { revision: head.revision, hash: head.hash, changes };
  }

  /** Revisions, newest first, with `***` for each reference to a secret. */
  async history(query: HistoryQuery = {}): Promise<ConfigRevision[]> {
    const revisions = await this.revisions.list(query);
    return revisions.map((revision) => ({ ...revision, patch: this.schema.secrets.mask(revision.patch) }));
  }

  private written({ revision, hash }: ConfigHead): ConfigUpdate {
    const request = requestContext.getStore();
    if (request) this.pinned.delete(request);
    return { revision, hash, applied: (this.replica.applied?.head.revision ?? -1) >= revision };
  }

  private current(): AppliedConfig {
    const request = requestContext.getStore();
    const applied = (request && this.pinned.get(request)) ?? this.replica.applied;
    if (!applied) throw new ConfigUnavailableError('not read from the database yet');
    if (request) this.pinned.set(request, applied);
    return applied;
  }
}

function toSnapshot<T>({ head, values }: AppliedConfig): ConfigSnapshot<T> {
  return { revision: head.revision, hash: head.hash, values: values as T };
}
