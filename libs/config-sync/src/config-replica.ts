import { Inject, Injectable, Logger } from '@nestjs/common';
import { monotonicMs, within } from '@yuxi/core';
import { Subject } from 'rxjs';
import { Coalesced } from './coalesced.js';
import { ConfigTimeoutError, ConfigUnavailableError, ConfigValidationError } from './config-sync.errors.js';
import { CONFIG_SYNC_OPTIONS } from './config-sync.options.js';
import type { ResolvedConfigSyncOptions } from './config-sync.options.js';
import { ConfigMetrics } from './config.metrics.js';
import { LastKnownGood } from './fallback/last-known-good.js';
import { ConfigHandlers } from './handlers/config-handlers.js';
import { ReplicaReporter } from './rollout/replica-reporter.js';
import { ConfigSchema } from './schema/config-schema.js';
import type { Values } from './schema/config-schema.js';
import { type ConfigHead, isBehind } from './store/config-head.js';
import { ConfigStore } from './store/config.store.js';

export interface AppliedConfig {
  readonly head: ConfigHead;
  readonly values: Values;
}

/** What this replica serves, and the one way it changes: read the head, offer it to the handlers, swap the snapshot. */
@Injectable()
export class ConfigReplica {
  private readonly logger = new Logger('LiveConfig');
  private readonly reads = new Coalesced(() => this.follow());
  private verifiedAt = monotonicMs();
  private problem = '';
  private stopped = false;

  /** In force now; undefined until the first read succeeded. */
  applied?: AppliedConfig;
  /** What is in force comes from the file: the database was not read yet. */
  recalled = false;
  readonly changes = new Subject<AppliedConfig>();

  constructor(
    private readonly store: ConfigStore,
    private readonly schema: ConfigSchema,
    private readonly handlers: ConfigHandlers,
    private readonly metrics: ConfigMetrics,
    private readonly reporter: ReplicaReporter,
    private readonly lastKnownGood: LastKnownGood,
    @Inject(CONFIG_SYNC_OPTIONS) private readonly options: ResolvedConfigSyncOptions,
  ) {
    metrics.staleSeconds = () => this.staleSeconds;
  }

  /** Time since this replica last knew that it serves the head, seconds. */
  get staleSeconds(): number {
    return (monotonicMs() - this.verifiedAt) / 1000;
  }

  /** Reads the head and follows it; one read at a time, and never one that began before the call. Never rejects. */
  refresh(): Promise<void> {
    return this.reads.run();
  }

  /** As {@link refresh}, unless the read that is under way already brings what is `wanted`. */
  async refreshUnless(satisfied: () => boolean): Promise<void> {
    await this.reads.settled();
    if (!satisfied()) await this.reads.run();
  }

  /** With nothing read yet, serves what this replica served last. */
  async recall(): Promise<void> {
    const head = await this.lastKnownGood.read();
    if (!head || this.applied || this.stopped) return;
    this.logger.warn(`The database cannot be read: serving revision ${head.revision} from the last known good file`);
    this.recalled = true;
    this.serve({ head, values: this.schema.resolveValidPart(head.stored) });
  }

  /** No read begins any more; resolves when the last one is over. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.reads.run();
    await this.lastKnownGood.settled();
    this.changes.complete();
  }

  private async follow(): Promise<void> {
    if (this.stopped) return;
    const { applied } = this;
    let head: ConfigHead | undefined;
    try {
      head = await this.read();
      this.metrics.revision.set(head.revision);
      if (applied && isBehind(head, applied.head)) head = await this.wentBack(head, applied.head);
      await this.apply(head, applied);
    } catch (error) {
      this.failed(error, head);
      // Started from the file: the methods get what is served all the same.
      if (applied && !this.handlers.have(applied.values)) await this.offer(applied.head, applied.values);
    }
  }

  private read(): Promise<ConfigHead> {
    const { readTimeout } = this.options;
    // The store gives up by itself; a client that cannot is not waited for.
    return within(
      readTimeout + 50,
      this.store.read(this.applied?.head),
      () => new ConfigTimeoutError(`no answer from the database within ${readTimeout} ms`),
    );
  }

  private async apply(head: ConfigHead, applied: AppliedConfig | undefined): Promise<void> {
    if (head !== applied?.head || !this.handlers.have(applied.values)) {
      const { values, refused } =
        head === applied?.head ? { ...applied, refused: undefined } : this.resolve(head, applied);
      const refusal = await this.offer(head, values);
      if (refusal !== undefined) {
        this.metrics.failed('handler');
        if (!applied) this.serve({ head, values });
        void this.reporter.tell({ head: this.applied?.head, refused: head.revision, reason: refusal });
        return;
      }
      this.serve({ head, values });
      void this.reporter.tell({ head, ...refused });
      void this.lastKnownGood.keep(head);
    }
    this.problem = '';
    this.recalled = false;
    this.verifiedAt = monotonicMs();
    this.metrics.applied.set(head.revision);
  }

  private offer({ revision }: ConfigHead, values: Values): Promise<string | undefined> {
    return this.handlers.offer(values, revision, this.options.handlerTimeout);
  }

  /** With nothing better at hand, a setting that this build refuses takes its default rather than stop the start. */
  private resolve({ stored, revision }: ConfigHead, applied: AppliedConfig | undefined) {
    try {
      return { values: this.schema.resolve(stored) };
    } catch (error) {
      if (applied) throw error;
      this.failed(error);
      const refused = { refused: revision, reason: (error as Error).message };
      return { values: this.schema.resolveValidPart(stored), refused };
    }
  }

  private serve(next: AppliedConfig): void {
    const changed = next.head !== this.applied?.head;
    this.applied = next;
    if (changed) this.changes.next(next);
  }

  /** @returns the head in its new epoch, so that within each epoch this replica only ever went forward */
  private async wentBack(head: ConfigHead, from: ConfigHead): Promise<ConfigHead> {
    this.logger.warn(`Configuration went back from revision ${from.revision} to ${head.revision}: database restored?`);
    await this.store.renewEpoch(head);
    const renewed = await this.read();
    if (isBehind(renewed, from))
      throw new ConfigUnavailableError(`the epoch of revision ${head.revision} is still the old one`);
    this.metrics.revision.set(renewed.revision);
    return renewed;
  }

  private failed(error: unknown, head?: ConfigHead): void {
    if (this.stopped) return;
    const invalid = error instanceof ConfigValidationError;
    this.metrics.failed(invalid ? 'invalid' : 'read');
    const problem = (error as Error).message;
    if (invalid && head) void this.reporter.tell({ head: this.applied?.head, refused: head.revision, reason: problem });
    const text = invalid ? 'The stored configuration is not valid for this build' : 'The configuration cannot be read';
    // Once per problem: the next reconcile is two seconds away.
    if (problem !== this.problem)
      this.logger.error(
        `${text}; ${this.applied ? `keeping revision ${this.applied.head.revision}` : 'trying again'}: ${problem}`,
      );
    this.problem = problem;
  }
}
