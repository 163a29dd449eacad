import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  Optional,
} from '@nestjs/common';
import { jitter, sleep } from '@yuxi/core';
import { HealthRegistry, type HealthResult } from '@yuxi/observability';
import { errorText } from '@yuxi/tasks';
import { SagaRegistry } from './definition/saga.registry.js';
import { SagaWriter } from './run/saga.writer.js';
import { resumed, stuck } from './run/transitions.js';
import { type ResolvedSagaOptions, resolveSagaOptions, SAGA_OPTIONS, type SagaModuleOptions } from './saga.options.js';
import { type Orphan, SAGA_STORE, type SagaStore } from './store/saga.store.js';

/** Sees to instances that nobody runs, and removes old ones. Each process has one: the compare-and-set lets one of them win. */
@Injectable()
export class SagaKeeper implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #log = new Logger('Sagas');
  readonly #options: ResolvedSagaOptions;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #unknown: string[] = [];
  #away = false;

  constructor(
    @Inject(SAGA_OPTIONS) options: SagaModuleOptions,
    @Inject(SAGA_STORE) private readonly store: SagaStore,
    private readonly sagas: SagaRegistry,
    private readonly writer: SagaWriter,
    @Optional() private readonly health?: HealthRegistry,
  ) {
    this.#options = resolveSagaOptions(options);
  }

  onApplicationBootstrap(): void {
    this.health?.register('sagas', () => this.check());
    this.#loop = this.#run();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** Degraded while there are instances that this process could not go on with: they wait for one that has their version. */
  check(): HealthResult {
    if (this.#unknown.length === 0) return { status: 'up' };
    return { status: 'degraded', state: `no definition here for open sagas: ${this.#unknown.join(', ')}` };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(jitter(this.#options.lookEvery), signal);
      if (signal.aborted) return;
      try {
        await this.look();
        this.#away = false;
      } catch (error) {
        if (!this.#away) this.#log.warn(`cannot look after sagas: ${errorText(error)}`);
        this.#away = true;
      }
    }
  }

  /** One round. */
  async look(): Promise<void> {
    for (const orphan of await this.store.orphans()) await this.#seeTo(orphan);
    await this.store.sweep(this.#options.keep);
    const open = (await this.store.counts()).filter((each) => !this.sagas.get(each));
    this.#unknown = open.map(({ name, version, count }) => `${name} version ${version} (${count})`);
  }

  async #seeTo({ state, reason, settle }: Orphan): Promise<void> {
    const definition = this.sagas.get(state);
    if (reason !== undefined) {
      const done = await this.writer.advance(undefined, state, stuck(definition, state, reason));
      if (done) this.#log.error(`saga ${state.name} ${state.id} is stuck: ${reason}`);
      return settle();
    }
    if (!definition) return;
    await this.writer.advance(definition, state, resumed(definition, state, 'its task was gone'));
    this.#log.warn(`saga ${state.name} ${state.id} goes on: its task was gone`);
  }
}
