import { Logger } from '@nestjs/common';
import type { ResolvedRedisOptions } from '@yuxi/redis';
import { HeartbeatThread, type HeartbeatThreadData } from './heartbeat-thread.js';

export interface MemberEvents {
  /** The worker is no longer a member of its queue. */
  lost(): void;
  /** Name of the list of cancelled tasks, when there is one. */
  cancels(list: string): void;
}

export interface StreamHeartbeatOptions {
  redis: ResolvedRedisOptions;
  /** Milliseconds. */
  lease: number;
  /** A process whose main loop is blocked for this time loses its tasks, milliseconds. */
  maxBlock: number;
  /** How many processes may crash while they run a task alone before it becomes a dead letter. */
  maxCrashes: number;
  /** Most dead letters of a queue. */
  deadLetters: number;
  /** How long dead letters are kept, milliseconds. */
  keepDead: number;
}

export type StreamHeartbeatData = StreamHeartbeatOptions & HeartbeatThreadData;

export type StreamHeartbeatOrder = { kind: 'join'; key: string; worker: string } | { kind: 'leave'; key: string };
export type StreamHeartbeatReport =
  | { kind: 'lost' | 'cancels'; key: string; worker: string; list: string }
  | { kind: 'recovered'; key: string; worker: string; count: number };

/** Renews the memberships of the workers of this process in their queues, from a thread that no handler can block. */
export class StreamHeartbeat {
  readonly #log = new Logger('Heartbeat');
  readonly #members = new Map<string, { worker: string; events: MemberEvents }>();
  readonly #thread: HeartbeatThread<StreamHeartbeatOrder, StreamHeartbeatReport>;

  /** @param recovered called with the number of tasks that were taken from dead workers */
  constructor(
    options: StreamHeartbeatOptions,
    private readonly recovered: (count: number) => void,
  ) {
    this.#thread = new HeartbeatThread('heartbeat-thread', options, {
      started: () => {
        for (const [key, { worker }] of this.#members) this.#thread.post({ kind: 'join', key, worker });
      },
      reported: (report) => this.#onReport(report),
    });
  }

  start(): void {
    this.#thread.start();
  }

  /** @param key of the queue */
  join(key: string, worker: string, events: MemberEvents): void {
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

  #onReport(report: StreamHeartbeatReport): void {
    if (report.kind === 'recovered') {
      this.#log.warn(`${report.count} tasks of workers that disappeared were recovered`);
      return this.recovered(report.count);
    }
    const member = this.#members.get(report.key);
    if (member?.worker !== report.worker) return;
    if (report.kind === 'lost') member.events.lost();
    else member.events.cancels(report.list);
  }
}
