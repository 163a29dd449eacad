import { Injectable, Optional } from '@nestjs/common';
import type { OnModuleDestroy } from '@nestjs/common';
import { monotonicMs, YuxiError } from '@yuxi/core';
import { LivenessProbe } from './liveness.probe.js';

export type HealthStatus = 'up' | 'degraded' | 'down';

export interface HealthResult {
  status: HealthStatus;
  /** For people: what is wrong. No secrets: it is served over HTTP. */
  detail?: string;
}

export type HealthProbe = () => HealthResult | Promise<HealthResult>;

export interface HealthReport {
  /** The worst of all checks; `down` also while shutting down. */
  status: HealthStatus;
  checks: Record<string, HealthResult>;
}

/** Longest time a probe may take before it counts as `down`, milliseconds. */
export const PROBE_LIMIT_MS = 1000;
/** How long a result is reused, so that probing costs the same however often it is asked, milliseconds. */
export const PROBE_CACHE_MS = 1000;

const WORST: HealthStatus[] = ['up', 'degraded', 'down'];

interface Entry {
  probe: HealthProbe;
  until: number;
  result?: Promise<HealthResult>;
}

/** What this process needs to serve, asked by readiness; a dependency that is away never ends liveness. */
@Injectable()
export class HealthRegistry implements OnModuleDestroy {
  private readonly entries = new Map<string, Entry>();
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

  get shuttingDown(): boolean {
    return this.#shuttingDown;
  }

  /** Called by the application once it listens. */
  markStarted(): void {
    this.#started = true;
  }

  /** From now on {@link check} is `down`, so that no new traffic comes. The first shutdown hook calls it too. */
  markShuttingDown(): void {
    this.#shuttingDown = true;
  }

  onModuleDestroy(): void {
    this.markShuttingDown();
  }

  /**
   * @param probe a throw, or no answer within {@link PROBE_LIMIT_MS}, counts as `down`.
   * @throws {YuxiError} `HEALTH_DUPLICATE` when the name is taken.
   */
  register(name: string, probe: HealthProbe): void {
    if (this.entries.has(name))
      throw new YuxiError(`health probe ${name} is registered twice: choose another name`, {
        code: 'HEALTH_DUPLICATE',
      });
    this.entries.set(name, { probe, until: 0 });
  }

  /** Never rejects and takes at most {@link PROBE_LIMIT_MS}. */
  async check(): Promise<HealthReport> {
    const checks = Object.fromEntries(
      await Promise.all([...this.entries].map(async ([name, entry]) => [name, await latest(entry)] as const)),
    );
    const worst = Math.max(0, ...Object.values(checks).map(({ status }) => WORST.indexOf(status)));
    return { status: this.#shuttingDown ? 'down' : WORST[worst]!, checks };
  }
}

function latest(entry: Entry): Promise<HealthResult> {
  const now = monotonicMs();
  if (!entry.result || now >= entry.until) {
    entry.result = bounded(entry.probe);
    entry.until = now + PROBE_CACHE_MS;
  }
  return entry.result;
}

async function bounded(probe: HealthProbe): Promise<HealthResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<HealthResult>((resolve) => {
    timer = setTimeout(resolve, PROBE_LIMIT_MS, { status: 'down', detail: `no answer within ${PROBE_LIMIT_MS} ms` });
  });
  try {
    return await Promise.race([Promise.resolve().then(probe), late]);
  } catch {
    // The reason may hold addresses or secrets: it belongs into the log of whoever owns the probe.
    return { status: 'down', detail: 'check failed' };
  } finally {
    clearTimeout(timer);
  }
}
