import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { Periodic, type SqlClient } from '@yuxi/core';
import { Observable, type Subscriber } from 'rxjs';
import { readTasks } from './store/view.js';
import { TaskService } from './task.service.js';
import { ENDED_STATUSES, type TaskFilter, type TaskView } from './task.types.js';
import { TaskNotFoundError, TooManyWatchersError } from './tasks.errors.js';
import { TASKS_SQL } from './tasks.tokens.js';

/** How often the watched tasks are read, all in one query, milliseconds. */
const READ_EVERY = 300;
const MOST_WATCHERS = 1000;

interface Watcher {
  id: string;
  subscriber: Subscriber<TaskView>;
  /** JSON of the task as last emitted. */
  last: string;
}

/** Follows tasks for clients, whichever process runs them. Without a watcher no query is sent. */
@Injectable()
export class TaskWatch implements OnModuleDestroy {
  readonly #log = new Logger('TaskWatch');
  readonly #watchers = new Set<Watcher>();
  readonly #reads = new Periodic(() => this.#read(), { every: READ_EVERY });
  #failing = false;
  #stopping = false;

  constructor(
    @Inject(TASKS_SQL) private readonly sql: SqlClient,
    private readonly tasks: TaskService,
  ) {}

  /**
   * Emits the task now and after each change, until it has ended or the process shuts down. During a shutdown it is emitted once.
   * While the database is unavailable nothing is emitted.
   * @throws {TaskNotFoundError} from the call, and on the stream when the task is removed
   * @throws {TooManyWatchersError}
   */
  async watch(id: string, filter: TaskFilter = {}): Promise<Observable<TaskView>> {
    const task = await this.tasks.get(id, filter);
    if (this.#watchers.size >= MOST_WATCHERS) throw new TooManyWatchersError(MOST_WATCHERS);
    return new Observable((subscriber) => {
      const watcher: Watcher = { id, subscriber, last: '' };
      this.#watchers.add(watcher);
      this.#emit(watcher, task);
      if (this.#stopping) subscriber.complete();
      else this.#reads.start();
      return () => this.#watchers.delete(watcher);
    });
  }

  onModuleDestroy(): void {
    this.#stopping = true;
    void this.#reads.stop();
    for (const { subscriber } of this.#watchers) subscriber.complete();
  }

  async #read(): Promise<void> {
    if (this.#watchers.size === 0) {
      // Not awaited: it resolves after this run has ended.
      void this.#reads.stop();
      return;
    }
    try {
      const watched = [...this.#watchers];
      const found = await readTasks(this.sql, [...new Set(watched.map(({ id }) => id))]);
      const byId = new Map(found.map((task) => [task.id, task]));
      for (const watcher of watched) this.#emit(watcher, byId.get(watcher.id));
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#log.warn(`watched tasks cannot be read: ${(error as Error).message}`);
      this.#failing = true;
    }
  }

  #emit(watcher: Watcher, task: TaskView | undefined): void {
    const { subscriber } = watcher;
    if (!task) return subscriber.error(new TaskNotFoundError(watcher.id));
    const text = JSON.stringify(task);
    if (text !== watcher.last) subscriber.next(task);
    watcher.last = text;
    if (ENDED_STATUSES.has(task.status)) subscriber.complete();
  }
}
