import { Inject, Injectable, Logger } from '@nestjs/common';
import { SAGA_STORE, type SagaStore } from '../store/saga.store.js';
import type { StepRun } from './step.run.js';

/** How long somebody who cancels waits at most until the step hears of it, milliseconds. */
const LOOK_EVERY = 1000;

/** Steps that run in this process; one question a second asks for all of them whether they are still wanted. */
@Injectable()
export class RunningSteps {
  readonly #log = new Logger('Sagas');
  readonly #runs = new Map<string, StepRun>();
  #timer?: NodeJS.Timeout;
  #looking = false;

  constructor(@Inject(SAGA_STORE) private readonly store: SagaStore) {}

  /** Runs it, and cancels it when somebody wants that. @param saga id of the instance, before its pivot */
  async watch<T>(saga: string, run: StepRun, work: () => Promise<T>): Promise<T> {
    this.#runs.set(saga, run);
    this.#timer ??= setInterval(() => void this.#look(), LOOK_EVERY).unref();
    try {
      return await work();
    } finally {
      if (this.#runs.get(saga) === run) this.#runs.delete(saga);
      if (this.#runs.size === 0) this.#stop();
    }
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      for (const saga of await this.store.cancelled([...this.#runs.keys()])) this.#runs.get(saga)?.cancel();
    } catch (error) {
      // The step itself will find the store away when it ends.
      this.#log.debug(`cannot ask which sagas are cancelled: ${String(error)}`);
    } finally {
      this.#looking = false;
    }
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
