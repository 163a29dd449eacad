import { Inject, Injectable, Logger } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import { Subject } from 'rxjs';
import { Coalesced } from './coalesced.js';
import { ConfigValidationError } from './config-sync.errors.js';
import { CONFIG_SYNC_OPTIONS } from './config-sync.options.js';
import type { ResolvedConfigSyncOptions } from './config-sync.options.js';
import { ConfigMetrics } from './config.metrics.js';
import { ConfigHandlers } from './handlers/config-handlers.js';
import { ConfigSchema } from './schema/config-schema.js';
import type { Values } from './schema/config-schema.js';
import { ConfigStore } from './store/config.store.js';
import type { ConfigHead } from './store/config.store.js';
import { within } from './within.js';

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
  readonly changes = new Subject<AppliedConfig>();

  constructor(
    private readonly store: ConfigStore,
    private readonly schema: ConfigSchema,
    private readonly handlers: ConfigHandlers,
    private readonly metrics: ConfigMetrics,
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

  /** No read begins any more; resolves when the last one is over. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.reads.run();
    this.changes.complete();
  }

  private async follow(): Promise<void> {
    if (this.stopped) return;
    try {
      const { applied } = this;
      const head = await within(
        this.options.readTimeout,
        `no answer from the database within ${this.options.readTimeout} ms`,
        this.store.read(applied?.head),
      );
      this.metrics.revision.set(head.revision);
      if (applied && isBehind(head, applied.head)) await this.wentBack(head, applied.head);
      await this.apply(head, applied);
    } catch (error) {
      this.failed(error);
    }
  }

  private async apply(head: ConfigHead, applied: AppliedConfig | undefined): Promise<void> {
    if (head !== applied?.head || !this.handlers.have(applied.values)) {
      const values = head === applied?.head ? applied.values : this.resolve(head, applied);
      const complete = await this.handlers.offer(values, head.revision, this.options.handlerTimeout);
      if (!complete) this.metrics.failed('handler');
      if (!complete && applied) return;
      this.serve({ head, values });
      if (!complete) return;
    }
    this.problem = '';
    this.verifiedAt = monotonicMs();
    this.metrics.applied.set(head.revision);
  }

  /** With nothing better at hand, a setting that this build refuses takes its default rather than stop the start. */
  private resolve(head: ConfigHead, applied: AppliedConfig | undefined): Values {
    try {
      return this.schema.resolve(head.stored);
    } catch (error) {
      if (applied) throw error;
      this.failed(error);
      return this.schema.resolveValidPart(head.stored);
    }
  }

  private serve(next: AppliedConfig): void {
    const changed = next.head !== this.applied?.head;
    this.applied = next;
    if (changed) this.changes.next(next);
  }

  private async wentBack(head: ConfigHead, from: ConfigHead): Promise<void> {
    this.logger.warn(`Configuration went back from revision ${from.revision} to ${head.revision}: database restored?`);
    await this.store.renewEpoch(head);
  }

  private failed(error: unknown): void {
    if (this.stopped) return;
    const invalid = error instanceof ConfigValidationError;
    this.metrics.failed(invalid ? 'invalid' : 'read');
    const problem = (error as Error).message;
    const text = invalid ? 'The stored configuration is not valid for this build' : 'The configuration cannot be read';
    // Once per problem: the next reconcile is two seconds away.
    if (problem !== this.problem)
      this.logger.error(
        `${text}; ${this.applied ? `keeping revision ${this.applied.head.revision}` : 'trying again'}: ${problem}`,
      );
    this.problem = problem;
  }
}

/** Within one epoch revisions only grow, unless the database was restored from an older copy. */
function isBehind(head: ConfigHead, applied: ConfigHead): boolean {
  return (
    head.epoch === applied.epoch &&
    (head.revision < applied.revision || (head.revision === applied.revision && head.hash !== applied.hash))
  );
}
