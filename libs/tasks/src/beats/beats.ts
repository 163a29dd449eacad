import { Logger } from '@nestjs/common';
import type { ResolvedRedisOptions } from '@yuxi/redis';
import { BeatWorker, type BeatWorkerData } from './beat-worker.js';

export interface BeatEvents {
  /** The worker is no member of its queue any more. */
  lost(): void;
  /** Name of the list of cancels, when there is one. */
  cancels(list: string): void;
}

export interface BeatOptions {
  redis: ResolvedRedisOptions;
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

export type BeatThreadData = BeatOptions & BeatWorkerData;

export type BeatOrder = { kind: 'join'; key: string; worker: string } | { kind: 'leave'; key: string };
export type BeatNews =
  | { kind: 'lost' | 'cancels'; key: string; worker: string; list: string }
  | { kind: 'recovered'; key: string; worker: string; count: number };

/** Keeps the workers of this process members of their queues in Redis, from a thread that no handler can hold up. */
export class Beats {
  readonly #log = new Logger('Beats');
  readonly #members = new Map<string, { worker: string; events: BeatEvents }>();
  readonly #thread: BeatWorker<BeatOrder, BeatNews>;

  /** @param recovered hears how many tasks of dead workers were taken back */
  constructor(
    options: BeatOptions,
    private readonly recovered: (count: number) => void,
  ) {
    this.#thread = new BeatWorker('beat-thread', options, {
      begun: () => {
        for (const [key, { worker }] of this.#members) this.#thread.post({ kind: 'join', key, worker });
      },
      heard: (news) => this.#hear(news),
    });
  }

  start(): void {
    this.#thread.start();
  }

  /** @param key of the queue */
  join(key: string, worker: string, events: BeatEvents): void {
    this.#members.set(key, { worker, events });
    this.#thread.post({ kind: 'join', key, worker });
  }

  leave(key: string): void {
    this.#members.delete(key);
    this.#thread.post({ kind: 'leave', key });
  }

  stop(): Promise<void> {
    return this.#thread.stop();
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
