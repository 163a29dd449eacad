import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  Optional,
} from '@nestjs/common';
import { Periodic } from '@yuxi/core';
import { HealthRegistry, type HealthResult } from '@yuxi/observability';
import { errorText } from '@yuxi/tasks';
import { SagaRegistry } from './definition/saga.registry.js';
import { SagaWriter } from './run/saga.writer.js';
import { resumed, stuck } from './run/transitions.js';
import { type ResolvedSagaOptions, resolveSagaOptions, SAGA_OPTIONS, type SagaModuleOptions } from './saga.options.js';
import { type Orphan, SAGA_STORE, type SagaStore } from './store/saga.store.js';

/** Resumes instances without a task, and removes old ones. Every process runs it. The compare-and-set lets one of them change an instance. */
@Injectable()
export class SagaKeeper implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #log = new Logger('Sagas');
  readonly #options: ResolvedSagaOptions;
  readonly #rounds: Periodic;
  #unknown: string[] = [];
  #failing = false;

  constructor(
    @Inject(SAGA_OPTIONS) options: SagaModuleOptions,
    @Inject(SAGA_STORE) private readonly store: SagaStore,
    private readonly sagas: SagaRegistry,
    private readonly writer: SagaWriter,
    @Optional() private readonly health?: HealthRegistry,
  ) {
    this.#options = resolveSagaOptions(options);
    this.#rounds = new Periodic(() => this.look(), {
      every: this.#options.lookEvery,
      onError: (error) => this.#failed(error),
    });
  }

  onApplicationBootstrap(): void {
    this.health?.register('sagas', () => this.check());
    this.#rounds.start();
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.#rounds.stop();
  }

  /** Degraded while this process has no definition for some open instances. They wait for a process that has their version. */
  check(): HealthResult {
    if (this.#unknown.length === 0) return { status: 'up' };
    return { status: 'degraded', state: `no definition here for open sagas: ${this.#unknown.join(', ')}` };
  }

  /** One round. */
  async look(): Promise<void> {
    for (const orphan of await this.store.orphans()) await this.#recover(orphan);
    await this.store.sweep(this.#options.keep);
    const open = (await this.store.counts()).filter((each) => !this.sagas.get(each));
    this.#unknown = open.map(({ name, version, count }) => `${name} version ${version} (${count})`);
    this.#failing = false;
  }

  async #recover({ state, reason, settle }: Orphan): Promise<void> {
    const definition = this.sagas.get(state);
    if (reason !== undefined) {
      const done = await this.writer.advance(undefined, state, stuck(definition, state, reason));
      if (done) this.#log.error(`saga ${state.name} ${state.id} is stuck: ${reason}`);
      return settle();
    }
    if (!definition) return;
    await this.writer.advance(definition, state, resumed(definition, state, 'its task was missing'));
    this.#log.warn(`saga ${state.name} ${state.id} is resumed: its task was missing`);
  }

  #failed(error: unknown): void {
    if (!this.#failing) this.#log.warn(`cannot check the open sagas: ${errorText(error)}`);
    this.#failing = true;
  }
}
