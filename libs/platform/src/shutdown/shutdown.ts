import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import type { EndSignal } from './signals.js';

/** Kept at the end for locks, Redis, the database and the log, milliseconds. */
const LAST_STEPS = 3000;

export interface ShutdownOptions {
  /** How long the process still serves after SIGTERM, milliseconds. See {@link Shutdown}. */
  delay: number;
  /** From the signal to the end of the process, milliseconds. Less than the grace period of whoever stops it. */
  timeout: number;
}

/**
 * One deadline for all that a process does between the signal and its end. Readiness answers 503 and tasks are handed back from the
 * first moment on. Requests are served for `delay` more, as long as balancers need to see that; then the port is closed, and what is
 * under way gets the rest of the time.
 *
 * An application that is closed without a signal has no `delay`, and its time begins when it asks for it.
 */
@Injectable()
export class Shutdown implements BeforeApplicationShutdown {
  #deadline?: number;
  #servesUntil = 0;

  constructor(private readonly options: ShutdownOptions = { delay: 0, timeout: 25_000 }) {}

  /** Only SIGTERM has the delay: at a terminal nobody else serves. A second call changes nothing. */
  begin(signal?: EndSignal): void {
    if (this.#deadline !== undefined) return;
    const now = monotonicMs();
    this.#deadline = now + this.options.timeout;
    if (signal === 'SIGTERM') this.#servesUntil = now + this.options.delay;
  }

  /** Whether the process is about to end. */
  get begun(): boolean {
    return this.#deadline !== undefined;
  }

  /** Milliseconds that requests still have. */
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
