import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { Logger } from '@nestjs/common';
import type { RedisOptions } from '@yuxi/redis';

/** How often the main loop shows that it lives, milliseconds. */
const TICK = 500;
const RESTART_AFTER = 1000;

export interface BeatEvents {
  /** The worker is no member of its queue any more. */
  lost(): void;
  /** Name of the list of cancels, when there is one. */
  cancels(list: string): void;
}

export interface BeatOptions {
  redis: RedisOptions;
  /** Milliseconds. */
  lease: number;
  /** A main loop that stood still for so long is given up, milliseconds. */
  maxBlock: number;
  /** Crashes alone after which a task is dead. */
  maxCrashes: number;
  deadLetters: number;
  /** Milliseconds. */
  keepDead: number;
}

export interface BeatThreadData extends BeatOptions {
  ticks: Int32Array;
}

export type BeatOrder = { kind: 'join'; key: string; worker: string } | { kind: 'leave'; key: string };
export type BeatNews =
  | { kind: 'lost' | 'cancels'; key: string; worker: string; list: string }
  | { kind: 'recovered'; key: string; worker: string; count: number };

/** Keeps the workers of this process members of their queues, from a thread that no handler can hold up. */
export class Beats {
  readonly #log = new Logger('Beats');
  readonly #members = new Map<string, { worker: string; events: BeatEvents }>();
  readonly #ticks = new Int32Array(new SharedArrayBuffer(4));
  #thread?: Worker;
  #timer?: NodeJS.Timeout;
  #stopped = false;

  /** @param recovered hears how many tasks of dead workers were taken back */
  constructor(
    private readonly options: BeatOptions,
    private readonly recovered: (count: number) => void,
  ) {}

  start(): void {
    this.#timer = setInterval(() => Atomics.add(this.#ticks, 0, 1), TICK).unref();
    this.#begin();
  }

  /** @param key of the queue */
  join(key: string, worker: string, events: BeatEvents): void {
    this.#members.set(key, { worker, events });
    this.#order({ kind: 'join', key, worker });
  }

  leave(key: string): void {
    this.#members.delete(key);
    this.#order({ kind: 'leave', key });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#thread?.terminate();
  }

  #order(order: BeatOrder): void {
    this.#thread?.postMessage(order);
  }

  #begin(): void {
    const workerData: BeatThreadData = { ...this.options, ticks: this.#ticks };
    // By the name of the package, so that tests, which run the sources, find the compiled thread too.
    const file = createRequire(import.meta.url).resolve('@yuxi/tasks/beat-thread');
    const thread = new Worker(file, { workerData, name: 'task beats' });
    thread.unref();
    thread.on('message', (news: BeatNews) => this.#hear(news));
    thread.on('error', (error) => this.#log.error(`the beats of the workers stopped: ${error.message}`));
    thread.on('exit', () => {
      if (!this.#stopped) setTimeout(() => this.#stopped || this.#begin(), RESTART_AFTER).unref();
    });
    this.#thread = thread;
    for (const [key, { worker }] of this.#members) this.#order({ kind: 'join', key, worker });
  }

  #hear(news: BeatNews): void {
    if (news.kind === 'recovered') {
      this.#log.warn(`${news.count} tasks of workers that disappeared were taken back`);
      return this.recovered(news.count);
    }
    const member = this.#members.get(news.key);
    if (member?.worker !== news.worker) return;
    if (news.kind === 'lost') member.events.lost();
    else member.events.cancels(news.list);
  }
}
