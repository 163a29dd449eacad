import { Inject, Injectable, Optional } from '@nestjs/common';
import { counter, gauge, METRICS, type MetricsRegistry } from '@yuxi/observability';

export type ApplyFailure = 'read' | 'invalid' | 'handler';
/** How a notice arrived. */
export type HintSource = 'redis' | 'sql';
/** `read`: it caused a read of the head. `known`: its revision was applied already. `ignored`: the text was not a notice. */
export type HintResult = 'read' | 'known' | 'ignored';

/** The metrics of the library. Without a registry they count nothing. */
@Injectable()
export class ConfigMetrics {
  readonly revision;
  readonly applied;
  readonly failures;
  readonly hints;
  /** Set by the replica: seconds since a read showed that it serves the head. */
  staleSeconds: () => number = () => 0;

  constructor(@Optional() @Inject(METRICS) registry?: MetricsRegistry) {
    this.revision = gauge(registry, { name: 'yuxi_config_revision', help: 'Newest configuration revision seen' });
    this.applied = gauge(registry, { name: 'yuxi_config_applied_revision', help: 'Configuration revision in force' });
    this.failures = counter(registry, {
      name: 'yuxi_config_apply_failures_total',
      help: 'Times the newest configuration could not be read or applied',
      labelNames: ['reason'],
    });
    this.hints = counter(registry, {
      name: 'yuxi_config_hints_total',
      help: 'Change notices received',
      labelNames: ['source', 'result'],
    });
    const stale = () => this.staleSeconds();
    gauge(registry, {
      name: 'yuxi_config_stale_seconds',
      help: 'Time since a read showed that this replica serves the newest revision',
      collect() {
        this.set(stale());
      },
    });
  }

  failed(reason: ApplyFailure): void {
    this.failures.inc({ reason });
  }

  hinted(source: HintSource, result: HintResult): void {
    this.hints.inc({ source, result });
  }
}
