import { Injectable } from '@nestjs/common';
import { OptionsError, YuxiError } from '@yuxi/core';
import { ConfigReplica } from './config-replica.js';
import { ConfigConflictError, ConfigRevisionError, ConfigUnavailableError } from './config-sync.errors.js';
import { ConfigHandlers } from './handlers/config-handlers.js';
import { ConfigPubSubService } from './hints/config-pub-sub.service.js';
import { ConfigSchema } from './schema/config-schema.js';
import type { ConfigDifference } from './schema/diff.js';
import { canonical } from './schema/json.js';
import type { JsonObject } from './schema/json.js';
import type { ConfigHead } from './store/config-head.js';
import { ConfigHistory } from './store/config-history.js';
import { ConfigStore } from './store/config.store.js';

export interface WriteOptions {
  /** The change is refused unless this is the head. Default: whatever the head is, the change goes on top of it. */
  ifRevision?: number;
  /** The change is refused unless the head's hash begins with this: tells a restored database from the one that was read. */
  ifHash?: string;
  /** Who changes it, for the history. Default `unknown`. */
  author?: string;
  /** Why, for the history. */
  reason?: string;
}

interface Change {
  patch: JsonObject;
  next: (stored: JsonObject) => JsonObject;
}

/** Commits changes and tells everybody. */
@Injectable()
export class ConfigWriter {
  private writes: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly replica: ConfigReplica,
    private readonly schema: ConfigSchema,
    private readonly store: ConfigStore,
    private readonly history: ConfigHistory,
    private readonly pubSub: ConfigPubSubService,
  ) {}

  async update(patch: unknown, options: WriteOptions): Promise<ConfigHead> {
    return this.write(this.changeOf(patch), options);
  }

  async rollback(revision: number, options: WriteOptions): Promise<ConfigHead> {
    const snapshot = await this.history.snapshot(revision).catch(unavailable);
    if (!snapshot) throw new ConfigRevisionError(revision);
    // Against this build's schema: what it allowed then may not be allowed any more.
    const next = () => this.schema.merge(snapshot, {});
    return this.write({ patch: snapshot, next }, { ...options, reason: options.reason ?? `back to ${revision}` });
  }

  /** What a patch would change on top of the head. */
  async preview(
    patch: unknown,
    { ifRevision, ifHash }: WriteOptions,
  ): Promise<{ head: ConfigHead; changes: ConfigDifference[] }> {
    const { next } = this.changeOf(patch);
    const head = await this.store.read(this.replica.applied?.head).catch(unavailable);
    if ((ifRevision ?? head.revision) !== head.revision || !head.hash.startsWith(ifHash ?? ''))
      throw await this.explained(new ConfigConflictError(ifRevision ?? head.revision, head.revision));
    const before = this.schema.resolveValidPart(head.stored);
    return { head, changes: this.schema.secrets.differences(before, this.schema.resolve(next(head.stored))) };
  }

  private changeOf(patch: unknown): Change {
    const change = this.schema.readPatch(patch);
    return { patch: change, next: (stored) => this.schema.merge(stored, change) };
  }

  private async write(change: Change, options: WriteOptions): Promise<ConfigHead> {
    const { ifRevision, ifHash, author = 'unknown', reason = '' } = options;
    if (ifRevision !== undefined && (!Number.isSafeInteger(ifRevision) || ifRevision < 0))
      throw new OptionsError('ifRevision', 'an integer from 0', ifRevision, 'LiveConfig');
    if (!this.replica.applied) await this.replica.refresh();
    let before: JsonObject = {};
    const next = (stored: JsonObject) => change.next((before = stored));
    const commit = { patch: change.patch, next, ifRevision, ifHash, author, reason };
    const head = await this.inTurn(() => this.store.commit(commit)).catch(async (error: unknown) => {
      throw error instanceof ConfigConflictError ? await this.explained(error) : asUnavailable(error);
    });
    for (const type of changedSections(before, head.stored))
      void this.pubSub.publish({ type, revision: head.revision, hash: head.hash });
    const followed = this.replica.refresh();
    // Inside a handler the replica is busy with that very handler: it follows afterwards.
    if (!ConfigHandlers.active) await followed;
    return head;
  }

  /** With what the other writers changed, as far as the history tells. */
  private async explained(conflict: ConfigConflictError): Promise<ConfigConflictError> {
    const { expected, revision } = conflict;
    try {
      const [before, after] = await Promise.all([expected, revision].map((each) => this.history.snapshot(each)));
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

  /** Writers of one replica queue here and not at the row, where each would hold a connection of the pool. */
  private inTurn<R>(write: () => Promise<R>): Promise<R> {
    const result = this.writes.then(write);
    this.writes = result.catch(() => undefined);
    return result;
  }
}

function changedSections(before: JsonObject, after: JsonObject): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => canonical(before[name] ?? {}) !== canonical(after[name] ?? {}));
}

/** Errors of a driver carry a `code` (SQLSTATE or of the socket); anything else is a bug and stays what it is. */
function asUnavailable(error: unknown): unknown {
  const own = error instanceof YuxiError && !error.code.startsWith('DATABASE_');
  if (own || typeof (error as { code?: unknown }).code !== 'string') return error;
  return new ConfigUnavailableError('the database did not take the change', error);
}

function unavailable(error: unknown): never {
  throw asUnavailable(error);
}
