import { Injectable } from '@nestjs/common';
import { OptionsError, YuxiError } from '@yuxi/core';
import { map } from 'rxjs';
import type { Observable } from 'rxjs';
import { ConfigReplica } from './config-replica.js';
import type { AppliedConfig } from './config-replica.js';
import { ConfigUnavailableError } from './config-sync.errors.js';
import { ConfigHandlers } from './handlers/config-handlers.js';
import { ConfigPubSubService } from './hints/config-pub-sub.service.js';
import { ConfigSchema } from './schema/config-schema.js';
import { ConfigStore } from './store/config.store.js';
import type { ConfigHead } from './store/config.store.js';

/** A merge patch over sections: what is absent stays, null returns to the default. */
export type ConfigPatch<T> = Partial<{ [Name in keyof T]: Partial<Record<keyof T[Name], unknown>> | null }>;

export interface UpdateOptions {
  /** The update fails unless this is the head. Default: whatever the head is, the patch goes on top of it. */
  ifRevision?: number;
  /** Who changes it, for the history. Default `unknown`. */
  author?: string;
  /** Why, for the history. */
  reason?: string;
}

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

/**
 * The configuration of all replicas. `T` is what the sections' schemas make: `LiveConfig<ConfigOf<typeof sections>>`.
 * Reading is a property access; every replica follows a change within milliseconds, and within 2.5 s when notices are lost.
 */
@Injectable()
export class LiveConfig<T extends object = Record<string, Record<string, unknown>>> {
  private writes: Promise<unknown> = Promise.resolve();

  /** Each revision that came into force on this replica, in order. */
  readonly changes: Observable<ConfigSnapshot<T>>;

  constructor(
    private readonly replica: ConfigReplica,
    private readonly schema: ConfigSchema,
    private readonly store: ConfigStore,
    private readonly pubSub: ConfigPubSubService,
  ) {
    this.changes = replica.changes.pipe(map((applied) => this.toSnapshot(applied)));
  }

  /**
   * All sections in force: one frozen object per revision, so take it once where several values must fit together.
   * @throws {ConfigUnavailableError} until the first read succeeded.
   */
  get(): Readonly<T> {
    return this.snapshot().values;
  }

  /** @throws {ConfigUnavailableError} as {@link get}. */
  section<Name extends keyof T>(name: Name): Readonly<T[Name]> {
    return this.get()[name];
  }

  /** Values with the revision they belong to. @throws {ConfigUnavailableError} as {@link get}. */
  snapshot(): ConfigSnapshot<T> {
    if (!this.replica.applied) throw new ConfigUnavailableError('not read from the database yet');
    return this.toSnapshot(this.replica.applied);
  }

  /** Revision in force on this replica. @throws {ConfigUnavailableError} as {@link get}. */
  get revision(): number {
    return this.snapshot().revision;
  }

  /** Reads the head now. Never rejects; nobody has to call it. */
  refresh(): Promise<void> {
    return this.replica.refresh();
  }

  /**
   * Commits one more revision, tells all replicas and applies it here. Concurrent updates wait for each other and none is lost.
   * An empty patch changes nothing and makes no revision.
   * @throws {ConfigValidationError} naming path, rule and value; nothing was changed.
   * @throws {ConfigConflictError} when `ifRevision` is not the head; nothing was changed.
   * @throws {ConfigUnavailableError} when the database failed; if the connection broke, the change may have been made.
   */
  async update(patch: ConfigPatch<T>, options: UpdateOptions = {}): Promise<ConfigUpdate> {
    const { ifRevision, author = 'unknown', reason = '' } = options;
    if (ifRevision !== undefined && (!Number.isSafeInteger(ifRevision) || ifRevision < 0))
      throw new OptionsError('ifRevision', 'an integer from 0', ifRevision, 'LiveConfig.update');
    const change = this.schema.readPatch(patch);
    if (!this.replica.applied) await this.replica.refresh();
    const sections = Object.keys(change);
    if (sections.length === 0) return { ...this.snapshot(), applied: true };
    const next = (stored: ConfigHead['stored']) => this.schema.merge(stored, change);
    const head = await this.inTurn(() =>
      this.store.commit({ patch: change, next, ifRevision, author, reason }).catch(unavailable),
    );
    const { revision, hash } = head;
    const told = Promise.all(sections.map((type) => this.pubSub.publish({ type, revision, hash })));
    const followed = this.replica.refresh();
    // Inside a handler the replica is busy with that very handler: it follows afterwards.
    if (!ConfigHandlers.active) await followed;
    await told;
    return { revision, hash, applied: (this.replica.applied?.head.revision ?? -1) >= revision };
  }

  /** Writers of one replica queue here and not at the row, where each would hold a connection of the pool. */
  private inTurn<R>(write: () => Promise<R>): Promise<R> {
    const result = this.writes.then(write);
    this.writes = result.catch(() => undefined);
    return result;
  }

  private toSnapshot({ head, values }: AppliedConfig): ConfigSnapshot<T> {
    return { revision: head.revision, hash: head.hash, values: values as T };
  }
}

/** Errors of a driver carry a `code` (SQLSTATE or of the socket); anything else is a bug and stays what it is. */
function unavailable(error: unknown): never {
  if (error instanceof YuxiError || typeof (error as { code?: unknown }).code !== 'string') throw error;
  throw new ConfigUnavailableError('the database did not take the change', error);
}
