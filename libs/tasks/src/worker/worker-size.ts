import { Inject, Injectable } from '@nestjs/common';
import { checkConcurrency, type TasksOptions } from '../tasks.options.js';
import { TASKS_OPTIONS } from '../tasks.tokens.js';
import { WakeUp } from './wake-up.js';

/** How many tasks this process runs at once. It may be changed while it runs: fewer means that none is begun until enough ended. */
@Injectable()
export class WorkerSize {
  #concurrency: number;

  constructor(
    @Inject(TASKS_OPTIONS) { concurrency = 4 }: TasksOptions,
    private readonly wakeUp: WakeUp,
  ) {
    this.#concurrency = concurrency;
  }

  get concurrency(): number {
    return this.#concurrency;
  }

  /** @throws {OptionsError} for anything but an integer 1..1000 */
  set concurrency(value: number) {
    this.#concurrency = checkConcurrency(value, 'WorkerSize');
    this.wakeUp.poke();
  }
}
