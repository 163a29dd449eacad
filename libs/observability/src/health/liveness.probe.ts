import { Injectable } from '@nestjs/common';
import type { OnModuleDestroy, OnModuleInit } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';

const TICK_MS = 500;
const LATE_MS = 1000;
/** One long pause (a collection, a suspended machine) is no reason for a restart; this many in a row are. */
const LATE_IN_A_ROW = 10;

/**
 * Whether a restart would help: only when the event loop is stuck, i.e. ten 500 ms ticks in a row came over 1 s late.
 * Looks at nothing outside the process, so that a dead Redis or PostgreSQL never restarts a replica.
 */
@Injectable()
export class LivenessProbe implements OnModuleInit, OnModuleDestroy {
  private timer?: NodeJS.Timeout;
  private due = 0;
  private late = 0;
  private lag = 0;

  onModuleInit(): void {
    this.start(monotonicMs());
    this.timer = setInterval(() => this.tick(monotonicMs()), TICK_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  check(): { status: 'up' | 'down'; lag_ms: number } {
    return { status: this.late >= LATE_IN_A_ROW ? 'down' : 'up', lag_ms: Math.round(this.lag) };
  }

  /** Visible for tests: ticks count from `now`. */
  start(now: number): void {
    this.due = now + TICK_MS;
  }

  /** Visible for tests: a tick that happened at `now`. */
  tick(now: number): void {
    this.lag = Math.max(0, now - this.due);
    this.late = this.lag > LATE_MS ? this.late + 1 : 0;
    this.due = now + TICK_MS;
  }
}
