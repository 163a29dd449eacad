import { AsyncLocalStorage } from 'node:async_hooks';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { monotonicMs, within } from '@yuxi/core';
import { Subject } from 'rxjs';
import { Coalesced } from './coalesced.js';
import { ConfigTimeoutError, ConfigUnavailableError, ConfigValidationError } from './config-sync.errors.js';
import { CONFIG_SYNC_OPTIONS, type ResolvedConfigSyncOptions } from './config-sync.options.js';
import { ConfigMetrics } from './config.metrics.js';
import { type ConfigHead, ConfigStore } from './config.store.js';
import { LastKnownGood } from './last-known-good.js';
import { ReplicaReporter } from './rollout/replica-reporter.js';
import { ConfigSchema, type Values } from './schema/config-schema.js';
import { canonical } from './schema/json.js';

export interface AppliedConfig {
  readonly head: ConfigHead;
  readonly values: Values;
}

export interface Handler {
  section: string;
  /** `Class.method`, for logs. */
  name: string;
  call: (next: unknown, info: { previous: unknown; revision: number }) => unknown;
}

interface Entry extends Handler {
  accepted?: { text: string; value: unknown };
  failedAt?: number;
}

const running = new AsyncLocalStorage<{ active: boolean }>();

/** The `@OnConfigChange` methods, and the values that each of them accepted last. */
@Injectable()
export class ConfigHandlers {
  readonly #log = new Logger('LiveConfig');
  readonly #entries: Entry[] = [];

  /** Whether the caller runs inside a handler. There, waiting for an apply would be a deadlock. */
  static get active(): boolean {
    return running.getStore()?.active ?? false;
  }

  add(handler: Handler): void {
    this.#entries.push({ ...handler });
  }

  /** Whether every method has accepted these values. */
  have(values: Values): boolean {
    return this.#entries.every((entry) => entry.accepted?.text === canonical(values[entry.section]));
  }

  /**
   * Calls each method that has not accepted the values of its section yet. Calls all of them, one after another.
   * @returns undefined when all have accepted, else the message of one that refused
   */
  async offer(values: Values, revision: number, timeout: number): Promise<string | undefined> {
    let refusal: string | undefined;
    for (const entry of this.#entries) refusal = (await this.#call(entry, values, revision, timeout)) ?? refusal;
    return refusal;
  }

  async #call(entry: Entry, values: Values, revision: number, timeout: number): Promise<string | undefined> {
    const value = values[entry.section];
    const text = canonical(value);
    if (entry.accepted?.text === text) return undefined;
    const context = { active: true };
    try {
      const info = { previous: entry.accepted?.value, revision };
      await within(
        timeout,
        running.run(context, async () => entry.call(value, info)),
        () => new ConfigTimeoutError(`${entry.name} took longer than ${timeout} ms`),
      );
      entry.accepted = { text, value };
      entry.failedAt = undefined;
      return undefined;
    } catch (error) {
      if (entry.failedAt !== revision)
        this.#log.error(`${entry.name} refused revision ${revision} of '${entry.section}'; trying again`, error);
      entry.failedAt = revision;
      return `${entry.name}: ${(error as Error).message}`;
    } finally {
      context.active = false;
    }
  }
}

/** The configuration that this replica serves. It changes in one way: read the head, call the handlers, swap the snapshot. */
@Injectable()
export class ConfigReplica {
  readonly #log = new Logger('LiveConfig');
  readonly #reads = new Coalesced(() => this.#follow());
  #verifiedAt = monotonicMs();
  #problem = '';
  #stopped = false;

  /** In force now. Undefined until the first read succeeds. */
  applied?: AppliedConfig;
  /** The configuration in force comes from the file, because the database was not read yet. */
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

  /** Seconds since a read showed that this replica serves the head. */
  get staleSeconds(): number {
    return (monotonicMs() - this.#verifiedAt) / 1000;
  }

  /** Reads the head and applies it, by a read that starts after the call. Reads never overlap. Never rejects. */
  refresh(): Promise<void> {
    return this.#reads.run();
  }

  /** Like {@link refresh}, unless the read under way already makes `satisfied` true. */
  async refreshUnless(satisfied: () => boolean): Promise<void> {
    await this.#reads.settled();
    if (!satisfied()) await this.#reads.run();
  }

  /** Serves the last known good file when nothing was read yet. */
  async recall(): Promise<void> {
    const head = await this.lastKnownGood.read();
    if (!head || this.applied || this.#stopped) return;
    this.#log.warn(`The database cannot be read: serving revision ${head.revision} from the last known good file`);
    this.recalled = true;
    this.#serve({ head, values: this.schema.resolveValidPart(head.stored) });
  }

  /** Prevents further reads. Resolves when the last one has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#reads.run();
    await this.lastKnownGood.settled();
    this.changes.complete();
  }

  async #follow(): Promise<void> {
    if (this.#stopped) return;
    const { applied } = this;
    let head: ConfigHead | undefined;
    try {
      head = await this.#readHead();
      this.metrics.revision.set(head.revision);
      if (applied && ConfigStore.isBehind(head, applied.head)) head = await this.#restored(head, applied.head);
      await this.#apply(head, applied);
    } catch (error) {
      this.#failed(error, head);
      // After a start from the file, the handlers still need the values that are served.
      if (applied && !this.handlers.have(applied.values)) await this.#offer(applied.head, applied.values);
    }
  }

  #readHead(): Promise<ConfigHead> {
    const { readTimeout } = this.options;
    // The store has the same timeout; this one is for an SQL client that ignores it.
    return within(
      readTimeout + 50,
      this.store.read(this.applied?.head),
      () => new ConfigTimeoutError(`no answer from the database within ${readTimeout} ms`),
    );
  }

  async #apply(head: ConfigHead, applied: AppliedConfig | undefined): Promise<void> {
    if (head !== applied?.head || !this.handlers.have(applied.values)) {
      const { values, refused } =
        head === applied?.head ? { ...applied, refused: undefined } : this.#resolve(head, applied);
      const refusal = await this.#offer(head, values);
      if (refusal !== undefined) {
        this.metrics.failed('handler');
        if (!applied) this.#serve({ head, values });
        void this.reporter.report({ head: this.applied?.head, refused: head.revision, reason: refusal });
        return;
      }
      this.#serve({ head, values });
      void this.reporter.report({ head, ...refused });
      void this.lastKnownGood.keep(head);
    }
    this.#problem = '';
    this.recalled = false;
    this.#verifiedAt = monotonicMs();
    this.metrics.applied.set(head.revision);
  }

  #offer({ revision }: ConfigHead, values: Values): Promise<string | undefined> {
    return this.handlers.offer(values, revision, this.options.handlerTimeout);
  }

  /** At the first read, a setting that this build refuses takes its default, so that the process can start. */
  #resolve({ stored, revision }: ConfigHead, applied: AppliedConfig | undefined) {
    try {
      return { values: this.schema.resolve(stored) };
    } catch (error) {
      if (applied) throw error;
      this.#failed(error);
      const refused = { refused: revision, reason: (error as Error).message };
      return { values: this.schema.resolveValidPart(stored), refused };
    }
  }

  #serve(next: AppliedConfig): void {
    const changed = next.head !== this.applied?.head;
    this.applied = next;
    if (changed) this.changes.next(next);
  }

  /** @returns the head in a new epoch, so that revisions only grow within each epoch */
  async #restored(head: ConfigHead, from: ConfigHead): Promise<ConfigHead> {
    this.#log.warn(`Configuration went back from revision ${from.revision} to ${head.revision}: database restored?`);
    await this.store.renewEpoch(head);
    const renewed = await this.#readHead();
    if (ConfigStore.isBehind(renewed, from))
      throw new ConfigUnavailableError(`the epoch of revision ${head.revision} is still the old one`);
    this.metrics.revision.set(renewed.revision);
    return renewed;
  }

  #failed(error: unknown, head?: ConfigHead): void {
    if (this.#stopped) return;
    const invalid = error instanceof ConfigValidationError;
    this.metrics.failed(invalid ? 'invalid' : 'read');
    const problem = (error as Error).message;
    if (invalid && head)
      void this.reporter.report({ head: this.applied?.head, refused: head.revision, reason: problem });
    const text = invalid ? 'The stored configuration is not valid for this build' : 'The configuration cannot be read';
    // One line for each problem: the next reconcile fails in the same way two seconds later.
    if (problem !== this.#problem)
      this.#log.error(
        `${text}; ${this.applied ? `keeping revision ${this.applied.head.revision}` : 'trying again'}: ${problem}`,
      );
    this.#problem = problem;
  }
}
