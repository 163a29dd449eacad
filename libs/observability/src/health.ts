import { Global, Injectable, Module, type OnModuleDestroy, type OnModuleInit, Optional } from '@nestjs/common';
import { monotonicMs, Periodic, YuxiError } from '@yuxi/core';

const TICK_MS = 500;
const LATE_MS = 1000;
/** One long pause (garbage collection, a suspended machine) is no reason for a restart. So many in a row are. */
const LATE_IN_A_ROW = 10;

/**
 * Whether the process needs a restart. It does when the event loop is stuck: ten 500 ms ticks in a row were more than 1 s late.
 * It checks nothing outside the process, so an outage of Redis or PostgreSQL never restarts a replica.
 */
@Injectable()
export class LivenessProbe implements OnModuleInit, OnModuleDestroy {
  readonly #ticks = new Periodic(() => this.tick(monotonicMs()), { every: TICK_MS, jitter: 0 });
  #due = 0;
  #late = 0;
  #lag = 0;

  onModuleInit(): void {
    this.start(monotonicMs());
    this.#ticks.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.#ticks.stop();
  }

  check(): { status: 'up' | 'down'; lag_ms: number } {
    return { status: this.#late >= LATE_IN_A_ROW ? 'down' : 'up', lag_ms: Math.round(this.#lag) };
  }

  /** Public for tests. Ticks count from `now`. */
  start(now: number): void {
    this.#due = now + TICK_MS;
  }

  /** Public for tests. A tick at `now`. */
  tick(now: number): void {
    this.#lag = Math.max(0, now - this.#due);
    this.#late = this.#lag > LATE_MS ? this.#late + 1 : 0;
    this.#due = now + TICK_MS;
  }
}

export type HealthStatus = 'up' | 'degraded' | 'down';

export interface HealthResult {
  status: HealthStatus;
  /** A few words for operators: the problem, or `absent` when it is not configured. It is served over HTTP, so it must hold no secret. */
  state?: string;
}

export type HealthProbe = () => HealthResult | Promise<HealthResult>;

/**
 * The health probes of this process. Each library registers a probe; the application runs them, for example with `@nestjs/terminus`.
 * An unavailable dependency never affects liveness.
 */
@Injectable()
export class HealthRegistry implements OnModuleDestroy {
  readonly #probes = new Map<string, HealthProbe>();
  #started = false;
  #shuttingDown = false;

  constructor(@Optional() private readonly liveness?: LivenessProbe) {}

  /** Liveness: false only while the event loop is stuck. Runs no probe; see {@link LivenessProbe}. */
  alive(): boolean {
    return this.liveness?.check().status !== 'down';
  }

  /** Whether start-up has ended: all modules are initialised and the application listens. */
  get started(): boolean {
    return this.#started;
  }

  /** True from the first hook of a shutdown on. Then new traffic should go elsewhere. */
  get shuttingDown(): boolean {
    return this.#shuttingDown;
  }

  /** Called by the application once it listens. */
  markStarted(): void {
    this.#started = true;
  }

  onModuleDestroy(): void {
    this.#shuttingDown = true;
  }

  /** @throws {YuxiError} `HEALTH_DUPLICATE` when the name is taken. */
  register(name: string, probe: HealthProbe): void {
    if (this.#probes.has(name))
      throw new YuxiError(`health probe ${name} is registered twice: choose another name`, {
        code: 'HEALTH_DUPLICATE',
      });
    this.#probes.set(name, probe);
  }

  /** The names of all probes. */
  get names(): string[] {
    return [...this.#probes.keys()];
  }

  /** Runs a probe. Never rejects: a probe that throws is `down`, without the text of its error. Takes as long as the probe. */
  async ask(name: string): Promise<HealthResult> {
    try {
      return (await this.#probes.get(name)?.()) ?? { status: 'down', state: 'not registered' };
    } catch {
      return { status: 'down', state: 'check failed' };
    }
  }
}

/** Global. Any library may inject {@link HealthRegistry} (with `@Optional()`) and register its probe. */
@Global()
@Module({ providers: [HealthRegistry, LivenessProbe], exports: [HealthRegistry, LivenessProbe] })
export class HealthModule {}
