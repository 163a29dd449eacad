import { Inject, Injectable } from '@nestjs/common';
import { type HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';
import { HealthRegistry, type HealthResult } from '@yuxi/observability';

/** Longest time a probe may take before it counts as `down`, milliseconds. */
const LIMIT_MS = 1000;
/** How long a result is used again, so that probing costs the same however often it is asked, milliseconds. */
const CACHE_MS = 1000;

/** What an attempt carries: `status` is a word of terminus, which knows `up` and `down` of an attempt only. */
type Probed = { health: HealthResult['status']; state?: string };

/** The probes that libraries have registered, as indicators of `@nestjs/terminus`. */
@Injectable()
export class HealthIndicators {
  constructor(
    @Inject(HealthRegistry) private readonly registry: HealthRegistry,
    @Inject(HealthIndicatorService) private readonly indicators: HealthIndicatorService,
  ) {}

  /** For `HealthCheckService.check`. */
  all(): (() => Promise<HealthIndicatorResult>)[] {
    return this.registry.names.map((name) => () => this.#indicate(name));
  }

  async #indicate(name: string): Promise<HealthIndicatorResult> {
    const session = this.indicators.check(name);
    const attempt = session.attempt(() => this.#ask(name)).withTimeout(LIMIT_MS);
    const { [name]: outcome } = await attempt.cacheFor(CACHE_MS);
    // A probe that fails answers so: only the time limit makes an attempt fail.
    if (outcome?.status !== 'up') return session.down({ state: `no answer within ${LIMIT_MS} ms` });
    const { health, state } = outcome as unknown as Probed;
    const data: Record<string, unknown> = state === undefined ? {} : { state };
    if (health === 'up') return session.up(data);
    return health === 'degraded' ? session.degraded(data) : session.down(data);
  }

  async #ask(name: string): Promise<Probed> {
    const { status, state } = await this.registry.ask(name);
    return { health: status, state };
  }
}
