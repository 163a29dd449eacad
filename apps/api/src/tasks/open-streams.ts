import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { jitter } from '@yuxi/core';
import { TaskAccess } from '@yuxi/knowledge';
import type { TaskOwnership } from '@yuxi/tasks';
import { Observable, type Subscriber } from 'rxjs';
import { type Caller, Callers } from '../auth/index.js';

/** Milliseconds between two checks, so that what is lost is lost for an open answer within 5 s. */
const CHECK_EVERY = 2000;

interface Stream {
  caller: Caller;
  task: TaskOwnership;
  over: Subscriber<void>;
}

/**
 * Answers that stay open while a task runs. A request is checked once, when it comes; these are checked again and again, all of a process
 * by at most three statements, so that they end on every replica when the caller has logged out, was deleted, or lost the rights on
 * what the task is about. While none is open nothing is asked.
 */
@Injectable()
export class OpenStreams implements OnModuleDestroy {
  readonly #log = new Logger('OpenStreams');
  readonly #streams = new Set<Stream>();
  #timer?: NodeJS.Timeout;
  #checking = false;
  #failing = false;
  #stopping = false;

  constructor(
    private readonly callers: Callers,
    @Inject(TaskAccess) private readonly access: TaskAccess,
  ) {}

  /** Emits once when the caller may not see the task any more. */
  lost(caller: Caller, task: TaskOwnership): Observable<void> {
    return new Observable((over) => {
      const stream = { caller, task, over };
      this.#streams.add(stream);
      this.#schedule();
      return () => this.#streams.delete(stream);
    });
  }

  onModuleDestroy(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#checking || this.#stopping || this.#streams.size === 0) return;
    this.#timer = setTimeout(() => void this.#check(), jitter(CHECK_EVERY)).unref();
  }

  async #check(): Promise<void> {
    this.#timer = undefined;
    this.#checking = true;
    try {
      for (const { over } of await this.#refused([...this.#streams])) over.next();
      this.#failing = false;
    } catch (error) {
      // Nothing new is told meanwhile: the tasks come from the same database.
      if (!this.#failing) this.#log.warn(`open streams cannot be checked: ${(error as Error).message}`);
      this.#failing = true;
    } finally {
      this.#checking = false;
      this.#schedule();
    }
  }

  async #refused(streams: readonly Stream[]): Promise<Stream[]> {
    const callers = await this.callers.refreshed(streams.map(({ caller }) => caller));
    const present = streams.flatMap((stream, i) => {
      const actor = callers[i];
      return actor ? [{ stream, actor, task: stream.task }] : [];
    });
    const visible = await this.access.areVisible(present);
    const kept = new Set(present.filter((_each, i) => visible[i]).map(({ stream }) => stream));
    return streams.filter((stream) => !kept.has(stream));
  }
}
