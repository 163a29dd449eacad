import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import type { EndSignal } from './signals.js';

/** Reserved at the end for locks, Redis, the database and the log, milliseconds. */
const LAST_STEPS = 3000;

export interface ShutdownOptions {
  /** How long the process still serves after SIGTERM, milliseconds. See {@link Shutdown}. */
  delay: number;
  /** From the signal to the end of the process, milliseconds. Must be shorter than the grace period of the supervisor. */
  timeout: number;
}

/**
 * One deadline for everything between the signal and the end of the process. At once, readiness answers 503 and tasks are returned to the
 * queue. Requests are served for `delay` more, until load balancers have detected that. Then the port is closed, and present requests get
 * the remaining time.
 *
 * An application that is closed without a signal has no `delay`. Its time begins at the first use of the deadline.
 */
@Injectable()
export class Shutdown implements BeforeApplicationShutdown {
  #deadline?: number;
  #servesUntil = 0;

  constructor(private readonly options: ShutdownOptions = { delay: 0, timeout: 25_000 }) {}

  /** Only SIGTERM has the delay. SIGINT comes from a terminal, where no other replica serves. A second call changes nothing. */
  begin(signal?: EndSignal): void {
    if (this.#deadline !== undefined) return;
    const now = monotonicMs();
    this.#deadline = now + this.options.timeout;
    if (signal === 'SIGTERM') this.#servesUntil = now + this.options.delay;
  }

  /** Whether the shutdown has begun. */
  get begun(): boolean {
    return this.#deadline !== undefined;
  }

  /** Remaining time for requests, milliseconds. */
  get timeForRequests(): number {
    this.begin();
    return Math.max(0, this.#deadline! - LAST_STEPS - monotonicMs());
  }

  /** The last hook before the HTTP server closes. */
  async beforeApplicationShutdown(): Promise<void> {
    this.begin();
    const left = this.#servesUntil - monotonicMs();
    if (left > 0) await sleep(left, undefined, true);
  }
}
