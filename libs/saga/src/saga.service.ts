import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Optional } from '@nestjs/common';
import { type Duration, integerOption, OptionsError, type SqlClient, toMs } from '@yuxi/core';
import { TaskQueue, toJson } from '@yuxi/tasks';
import type { SagaClass } from './definition/saga.decorators.js';
import type { SagaDefinition } from './definition/saga.definition.js';
import { SagaRegistry } from './definition/saga.registry.js';
import { NO_HOOKS, SAGA_HOOKS, type SagaHooks } from './run/saga.runner.js';
import { SAGA_QUEUE, sagaTaskName, SagaWriter, stepTask } from './run/saga.writer.js';
import { begun, hasEnded, resumed, type SagaChange, succeeded } from './run/transitions.js';
import { SagaNotFoundError, SagaStateError, SagaUnknownError } from './saga.errors.js';
import type { SagaDetails, SagaQuery, SagaState, SagaView } from './saga.types.js';
import { SAGA_STORE, type SagaStore } from './store/saga.store.js';

export interface StartOptions {
  /** Business key, 1..200 characters. While an instance with this key is kept, another start with it returns that instance. */
  key?: string;
  /** Default: the deadline of the saga. */
  deadline?: Duration;
}

const YEAR = 365 * 86_400_000;

/** Starts, shows, cancels, retries and skips sagas. */
@Injectable()
export class SagaService {
  constructor(
    @Inject(SAGA_STORE) private readonly store: SagaStore,
    private readonly sagas: SagaRegistry,
    private readonly writer: SagaWriter,
    private readonly queue: TaskQueue,
    @Optional() @Inject(SAGA_HOOKS) private readonly hooks: SagaHooks = NO_HOOKS,
  ) {}

  /**
   * Stores an instance together with the task of its first step.
   * @param saga the class, or a name; of a name the highest version is started
   * @param tx a transaction of the caller; the instance exists exactly if it commits. Not for sagas stored in Redis.
   * @returns its id, or the id of the instance with that key, and whether this call started it
   * @throws {SagaUnknownError} {@link PayloadError} for an input that is not JSON or breaks the schema; {@link OptionsError}
   */
  async start(
    saga: SagaClass | string,
    input: unknown,
    { key, deadline }: StartOptions = {},
    tx?: SqlClient,
  ): Promise<{ id: string; started: boolean }> {
    const definition = this.sagas.current(saga);
    const where = `start ${definition.name}`;
    if (key !== undefined && (typeof key !== 'string' || !/^[^\0]{1,200}$/s.test(key)))
      throw new OptionsError('key', '1..200 characters', key, where);
    const json = toJson(`saga ${definition.name}`, input);
    await definition.parse(input);
    const change = begun(definition);
    await this.hooks.at('before-intent', definition.steps[0]!.name, 'forward');
    return this.store.start(
      {
        id: randomUUID(),
        name: definition.name,
        version: definition.version,
        key: key ?? null,
        input: json,
        pivot: definition.pivot,
        deadline: deadline === undefined ? definition.deadline : toMs('deadline', deadline, { max: YEAR, where }),
      },
      change,
      stepTask(definition, change, input)!,
      tx,
    );
  }

  /** With input, results and timeline. @throws {SagaNotFoundError} */
  async get(id: string): Promise<SagaDetails> {
    const state = await this.#load(id);
    const { input, results } = state;
    return { ...this.#view(state), input, results, timeline: await this.store.timeline(id) };
  }

  /** Newest first. @throws {OptionsError} for a limit that is not 1..100 */
  async list(query: SagaQuery = {}): Promise<SagaView[]> {
    const { limit = 50 } = query;
    integerOption('limit', limit, { max: 100, where: 'SagaService.list' });
    return (await this.store.list({ ...query, limit })).map((state) => this.#view(state));
  }

  /**
   * Starts the compensation of an instance. The signal of its running step aborts within about a second, in any process. The
   * compensations start after that step has ended.
   * @throws {SagaNotFoundError}; {@link SagaStateError} for an instance that has ended, is already being compensated, or has reached
   * its pivot
   */
  async cancel(id: string): Promise<SagaView> {
    const state = await this.#load(id);
    if (!(await this.store.requestCancel(id))) throw new SagaStateError(id, whyNot(await this.#load(id)));
    const definition = this.sagas.get(state);
    if (state.status === 'stuck') await this.#change(definition, state, (known) => resumed(known, state, 'cancelled'));
    // The step may be waiting for its next attempt.
    else if (state.task !== null) await this.queue.promote(sagaTaskName(state), state.task, SAGA_QUEUE);
    return this.#view(await this.#load(id));
  }

  /**
   * Runs the step of a stuck instance again, with all its attempts. Also for an open instance whose task was removed. If the step is
   * running, the result of that run is ignored.
   * @throws {SagaNotFoundError}; {@link SagaStateError} for an instance that has ended; {@link SagaUnknownError}
   */
  async retry(id: string): Promise<SagaView> {
    const state = await this.#load(id);
    if (hasEnded(state.status)) throw new SagaStateError(id, `is ${state.status}`);
    await this.#change(this.sagas.get(state), state, (known) => resumed(known, state, 'retry was requested'));
    return this.#view(await this.#load(id));
  }

  /**
   * Continues a stuck instance as if its step, or its compensation, had succeeded with the result null.
   * @throws {SagaNotFoundError}; {@link SagaStateError} for an instance that is not stuck; {@link SagaUnknownError}
   */
  async skip(id: string): Promise<SagaView> {
    const state = await this.#load(id);
    if (state.status !== 'stuck') throw new SagaStateError(id, `is ${state.status}, not stuck`);
    await this.#change(this.sagas.get(state), state, (known) => succeeded(known, state, null, 'skipped'));
    return this.#view(await this.#load(id));
  }

  async #change(
    definition: SagaDefinition | undefined,
    state: SagaState,
    change: (definition: SagaDefinition) => SagaChange,
  ): Promise<void> {
    if (!definition) throw new SagaUnknownError(`${state.name} (version ${state.version})`);
    if (!(await this.writer.advance(definition, state, change(definition))))
      throw new SagaStateError(state.id, 'has changed in the meantime: read it again, then decide');
  }

  async #load(id: string): Promise<SagaState> {
    const state = await this.store.load(id);
    if (!state) throw new SagaNotFoundError(id);
    return state;
  }

  #view(state: SagaState): SagaView {
    return viewOf(state, this.sagas.get(state));
  }
}

function whyNot({ status, direction, step, pivot }: SagaState): string {
  if (hasEnded(status)) return `is ${status}`;
  if (direction === 'back') return 'is already being compensated';
  return step >= pivot
    ? 'has reached its pivot and cannot be compensated'
    : 'has changed in the meantime: read it again, then decide';
}

/** @param definition undefined when this process has none */
function viewOf(state: SagaState, definition: SagaDefinition | undefined): SagaView {
  const { id, name, version, key, status, direction, step, failures, error } = state;
  return {
    id,
    name,
    version,
    key,
    status,
    direction,
    step: hasEnded(status) ? null : (definition?.steps[step]?.name ?? null),
    failures,
    error,
    cancel_requested: state.cancelRequested,
    created_at: state.createdAt,
    updated_at: state.updatedAt,
  };
}
