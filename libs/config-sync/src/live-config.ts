import { Injectable } from '@nestjs/common';
import { integerOption, isDatabaseFailure } from '@yuxi/core';
import { requestContext } from '@yuxi/observability';
import { map, type Observable } from 'rxjs';
import { ConfigPubSubService } from './config-follower.js';
import { type AppliedConfig, ConfigHandlers, ConfigReplica } from './config-replica.js';
import { ConfigConflictError, ConfigRevisionError, ConfigUnavailableError } from './config-sync.errors.js';
import { type ConfigHead, type ConfigRevision, ConfigStore, type HistoryQuery } from './config.store.js';
import { ConfigSchema, type Values } from './schema/config-schema.js';
import { canonical, type ConfigDifference, type JsonObject } from './schema/json.js';

/** A merge patch over sections: an absent key stays as it is, null returns to the default. */
export type ConfigPatch<T> = Partial<{ [Name in keyof T]: Partial<Record<keyof T[Name], unknown>> | null }>;

export interface UpdateOptions {
  /** The change is refused unless this is the head. Default: the change applies on top of any head. */
  ifRevision?: number;
  /** The change is refused unless the hash of the head begins with this. It detects that the database was restored after the read. */
  ifHash?: string;
  /** Name of the user who makes the change, for the history. Default `unknown`. */
  author?: string;
  /** Why, for the history. */
  reason?: string;
}

export interface ConfigUpdate {
  revision: number;
  hash: string;
  /** Whether this replica serves it already. If not, each reconcile tries again and the log states the cause. */
  applied: boolean;
}

export interface ConfigSnapshot<T> {
  revision: number;
  hash: string;
  values: Readonly<T>;
}

export interface ConfigPreview {
  /** The head to which the patch would apply. */
  revision: number;
  hash: string;
  changes: ConfigDifference[];
}

interface Change {
  patch: JsonObject;
  next: (stored: JsonObject) => JsonObject;
}

/** Commits changes and publishes them. */
@Injectable()
export class ConfigWriter {
  #writes: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly replica: ConfigReplica,
    private readonly schema: ConfigSchema,
    private readonly store: ConfigStore,
    private readonly pubSub: ConfigPubSubService,
  ) {}

  async update(patch: unknown, options: UpdateOptions): Promise<ConfigHead> {
    return this.#write(this.#changeOf(patch), options);
  }

  async rollback(revision: number, options: UpdateOptions): Promise<ConfigHead> {
    const snapshot = await this.store.snapshot(revision).catch(unavailable);
    if (!snapshot) throw new ConfigRevisionError(revision);
    // Checked against the schema of this build, which may no longer allow the old values.
    const next = () => this.schema.merge(snapshot, {});
    return this.#write({ patch: snapshot, next }, { ...options, reason: options.reason ?? `back to ${revision}` });
  }

  /** The changes that a patch would make to the head. */
  async preview(
    patch: unknown,
    { ifRevision, ifHash }: UpdateOptions,
  ): Promise<{ head: ConfigHead; changes: ConfigDifference[] }> {
    const { next } = this.#changeOf(patch);
    const head = await this.store.read(this.replica.applied?.head).catch(unavailable);
    if ((ifRevision ?? head.revision) !== head.revision || !head.hash.startsWith(ifHash ?? ''))
      throw await this.#explained(new ConfigConflictError(ifRevision ?? head.revision, head.revision));
    const before = this.schema.resolveValidPart(head.stored);
    return { head, changes: this.schema.secrets.differences(before, this.schema.resolve(next(head.stored))) };
  }

  #changeOf(patch: unknown): Change {
    const change = this.schema.readPatch(patch);
    return { patch: change, next: (stored) => this.schema.merge(stored, change) };
  }

  async #write(change: Change, options: UpdateOptions): Promise<ConfigHead> {
    const { ifRevision, ifHash, author = 'unknown', reason = '' } = options;
    if (ifRevision !== undefined) integerOption('ifRevision', ifRevision, { min: 0, where: 'LiveConfig' });
    if (!this.replica.applied) await this.replica.refresh();
    let before: JsonObject = {};
    const next = (stored: JsonObject) => change.next((before = stored));
    const commit = { patch: change.patch, next, ifRevision, ifHash, author, reason };
    const head = await this.#inTurn(() => this.store.commit(commit)).catch(async (error: unknown) => {
      throw error instanceof ConfigConflictError ? await this.#explained(error) : asUnavailable(error);
    });
    for (const type of changedSections(before, head.stored))
      void this.pubSub.publish({ type, revision: head.revision, hash: head.hash });
    const followed = this.replica.refresh();
    // Inside a handler, the replica waits for that handler. It applies the change afterwards.
    if (!ConfigHandlers.active) await followed;
    return head;
  }

  /** Adds the changes of the other writers, if the history has them. */
  async #explained(conflict: ConfigConflictError): Promise<ConfigConflictError> {
    const { expected, revision } = conflict;
    try {
      const [before, after] = await Promise.all([expected, revision].map((each) => this.store.snapshot(each)));
      if (!before || !after) return conflict;
      const changes = this.schema.secrets.differences(
        this.schema.resolveValidPart(before),
        this.schema.resolveValidPart(after),
      );
      return new ConfigConflictError(expected, revision, changes);
    } catch {
      return conflict;
    }
  }

  /** Writers of one replica wait here. At the lock of the row, each of them would occupy a connection of the pool. */
  #inTurn<R>(write: () => Promise<R>): Promise<R> {
    const result = this.#writes.then(write);
    this.#writes = result.catch(() => undefined);
    return result;
  }
}

/**
 * The configuration of all replicas. `T` comes from the schemas of the sections: `LiveConfig<ConfigOf<typeof sections>>`.
 * Reading is a property access. Every replica follows a change within milliseconds, and within 2.5 s when notices are lost.
 * A request sees one revision from its first read to its end, except that it sees its own changes.
 */
@Injectable()
export class LiveConfig<T extends object = Record<string, Record<string, unknown>>> {
  /** By the context of the request. */
  readonly #pinned = new WeakMap<object, AppliedConfig>();

  /** Each revision that came into force on this replica, in order. */
  readonly changes: Observable<ConfigSnapshot<T>>;

  constructor(
    private readonly replica: ConfigReplica,
    private readonly schema: ConfigSchema,
    private readonly writer: ConfigWriter,
    private readonly store: ConfigStore,
  ) {
    this.changes = replica.changes.pipe(map((applied) => toSnapshot<T>(applied)));
  }

  /**
   * All sections in force, as one frozen object for each revision. Take it once where several values must fit together.
   * @throws {ConfigUnavailableError} until the first read succeeds, if there is no last known good file
   */
  get(): Readonly<T> {
    return this.#current().values as T;
  }

  /** @throws {ConfigUnavailableError} as {@link get} */
  section<Name extends keyof T>(name: Name): Readonly<T[Name]> {
    return this.get()[name];
  }

  /** Values with their revision. @throws {ConfigUnavailableError} as {@link get} */
  snapshot(): ConfigSnapshot<T> {
    return toSnapshot(this.#current());
  }

  /** Like {@link snapshot}, with `***` in place of each reference to a secret. @throws {ConfigUnavailableError} as {@link get} */
  masked(): ConfigSnapshot<T> {
    const { values, ...version } = this.snapshot();
    return { ...version, values: this.schema.secrets.mask(values as Values) as T };
  }

  /** Revision in force. @throws {ConfigUnavailableError} as {@link get} */
  get revision(): number {
    return this.#current().head.revision;
  }

  /** The keys of each section. */
  get keys(): Readonly<Record<string, readonly string[]>> {
    return this.schema.keys;
  }

  /** Changes when the schemas of the sections change. */
  get schemaVersion(): string {
    return this.schema.version;
  }

  /** Reads the head now. Never rejects. Calling it is never necessary. */
  refresh(): Promise<void> {
    return this.replica.refresh();
  }

  /**
   * Commits the next revision, publishes it to all replicas and applies it here. Concurrent updates run one after another; none is lost.
   * A patch that changes nothing makes no revision.
   * @throws {ConfigValidationError} naming path, rule and value; nothing was changed
   * @throws {ConfigConflictError} when the head is not the one named, with the changes since then; nothing was changed
   * @throws {ConfigUnavailableError} when the database failed; if the connection broke, the change may have been made
   */
  async update(patch: ConfigPatch<T>, options: UpdateOptions = {}): Promise<ConfigUpdate> {
    return this.#written(await this.writer.update(patch, options));
  }

  /**
   * Commits the content of an earlier revision as the next one. Works like {@link update} and throws the same errors.
   * @throws {ConfigRevisionError} when there was no such revision
   */
  async rollback(revision: number, options: UpdateOptions = {}): Promise<ConfigUpdate> {
    return this.#written(await this.writer.rollback(revision, options));
  }

  /** The changes that {@link update} would make. Changes nothing. @throws as {@link update} */
  async preview(patch: ConfigPatch<T>, options: UpdateOptions = {}): Promise<ConfigPreview> {
    const { head, changes } = await this.writer.preview(patch, options);
    return { revision: head.revision, hash: head.hash, changes };
  }

  /** Revisions, newest first, with `***` in place of each reference to a secret. */
  async history(query: HistoryQuery = {}): Promise<ConfigRevision[]> {
    const revisions = await this.store.history(query);
    return revisions.map((revision) => ({ ...revision, patch: this.schema.secrets.mask(revision.patch) }));
  }

  #written({ revision, hash }: ConfigHead): ConfigUpdate {
    const request = requestContext.getStore();
    if (request) this.#pinned.delete(request);
    return { revision, hash, applied: (this.replica.applied?.head.revision ?? -1) >= revision };
  }

  #current(): AppliedConfig {
    const request = requestContext.getStore();
    const applied = (request && this.#pinned.get(request)) ?? this.replica.applied;
    if (!applied) throw new ConfigUnavailableError('not read from the database yet');
    if (request) this.#pinned.set(request, applied);
    return applied;
  }
}

function toSnapshot<T>({ head, values }: AppliedConfig): ConfigSnapshot<T> {
  return { revision: head.revision, hash: head.hash, values: values as T };
}

function changedSections(before: JsonObject, after: JsonObject): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => canonical(before[name] ?? {}) !== canonical(after[name] ?? {}));
}

function asUnavailable(error: unknown): unknown {
  return isDatabaseFailure(error) ? new ConfigUnavailableError('the database did not take the change', error) : error;
}

function unavailable(error: unknown): never {
  throw asUnavailable(error);
}
