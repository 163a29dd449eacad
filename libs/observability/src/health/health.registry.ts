import { Injectable, Optional } from '@nestjs/common';
import type { OnModuleDestroy } from '@nestjs/common';
import { YuxiError } from '@yuxi/core';
import { LivenessProbe } from './liveness.probe.js';

export type HealthStatus = 'up' | 'degraded' | 'down';

export interface HealthResult {
  status: HealthStatus;
  /** For people, in a few words: what is wrong, or `absent` for what is not configured. No secrets: it is served over HTTP. */
  state?: string;
}

export type HealthProbe = () => HealthResult | Promise<HealthResult>;

/**
 * What this process needs to serve: libraries register a probe each, the application asks for them, e.g. by `@nestjs/terminus`. A
 * dependency that is away never ends liveness.
 */
@Injectable()
export class HealthRegistry implements OnModuleDestroy {
  readonly #probes = new Map<string, HealthProbe>();
  #started = false;
  #shuttingDown = false;

  constructor(@Optional() private readonly liveness?: LivenessProbe) {}

  /** Liveness: false only while the event loop is stuck. Never looks at the probes: see {@link LivenessProbe}. */
  alive(): boolean {
    return this.liveness?.check().status !== 'down';
  }

  /** Start-up is over: all modules initialised, bounded waits done. */
  get started(): boolean {
    return this.#started;
  }

  /** From the first hook of a shutdown on: no new traffic should come. */
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

  /** Of all probes. */
  get names(): string[] {
    return [...this.#probes.keys()];
  }

  /** Never rejects: a probe that throws is `down`, without the text of its error. Takes as long as the probe. */
  async ask(name: string): Promise<HealthResult> {
    try {
      return (await this.#probes.get(name)?.()) ?? { status: 'down', state: 'not registered' };
    } catch {
      return { status: 'down', state: 'check failed' };
    }
  }
}
