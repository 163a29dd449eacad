import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { jitter, type SqlClient } from '@yuxi/core';
import { Observable, type Subscriber } from 'rxjs';
import { readTasks } from './store/view.js';
import { TaskService } from './task.service.js';
import { ENDED_STATUSES, type TaskFilter, type TaskView } from './task.types.js';
import { TaskNotFoundError, TooManyWatchersError } from './tasks.errors.js';
import { TASKS_SQL } from './tasks.tokens.js';

/** How often the watched tasks are looked at, all in one query, milliseconds. */
const LOOK_EVERY = 300;
const MOST_WATCHERS = 1000;

interface Watcher {
  id: string;
  subscriber: Subscriber<TaskView>;
  /** What it was told last. */
  told: string;
}

/** Follows tasks for clients, whichever process runs them. While nobody watches nothing is asked. */
@Injectable()
export class TaskWatch implements OnModuleDestroy {
  readonly #log = new Logger('TaskWatch');
  readonly #watchers = new Set<Watcher>();
  #timer?: NodeJS.Timeout;
  #looking = false;
  #failing = false;
  #stopping = false;

  constructor(
    @Inject(TASKS_SQL) private readonly sql: SqlClient,
    private readonly tasks: TaskService,
  ) {}

  /**
   * The task now and after each change, until it has ended; also ends when the process shuts down; what is
   * watched from then on is told once.
   * While the database is away nothing is emitted.
   * @throws {TaskNotFoundError} when it is called, and on the stream when the task is removed
   * @throws {TooManyWatchersError}
   */
  async watch(id: string, filter: TaskFilter = {}): Promise<Observable<TaskView>> {
    const task = await this.tasks.get(id, filter);
    if (this.#watchers.size >= MOST_WATCHERS) throw new TooManyWatchersError(MOST_WATCHERS);
    return new Observable((subscriber) => {
      const watcher: Watcher = { id, subscriber, told: '' };
      this.#watchers.add(watcher);
      this.#tell(watcher, task);
      if (this.#stopping) subscriber.complete();
      else this.#schedule();
      return () => this.#watchers.delete(watcher);
    });
  }

  onModuleDestroy(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    for (const { subscriber } of this.#watchers) subscriber.complete();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#looking || this.#watchers.size === 0) return;
    this.#timer = setTimeout(() => void this.#look(), jitter(LOOK_EVERY)).unref();
  }

  async #look(): Promise<void> {
    this.#timer = undefined;
    if (this.#watchers.size === 0) return;
    this.#looking = true;
    try {
      const watched = [...this.#watchers];
      const found = await readTasks(this.sql, [...new Set(watched.map(({ id }) => id))]);
      const byId = new Map(found.map((task) => [task.id, task]));
      for (const watcher of watched) this.#tell(watcher, byId.get(watcher.id));
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#log.warn(`watched tasks cannot be looked at: ${(error as Error).message}`);
      this.#failing = true;
    } finally {
      this.#looking = false;
      this.#schedule();
    }
  }

  #tell(watcher: Watcher, task: TaskView | undefined): void {
    const { subscriber } = watcher;
    if (!task) return subscriber.error(new TaskNotFoundError(watcher.id));
    const text = JSON.stringify(task);
    if (text !== watcher.told) subscriber.next(task);
    watcher.told = text;
    if (ENDED_STATUSES.has(task.status)) subscriber.complete();
  }
}
