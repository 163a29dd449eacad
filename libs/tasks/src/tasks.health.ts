import { Injectable, Optional } from '@nestjs/common';
import { type HealthResult, HealthRegistry } from '@yuxi/observability';

/** A loop that has not turned for this time is stuck, milliseconds. Each wait in it is shorter. */
const STUCK_AFTER = 30_000;

/** Readiness of the workers of this process. It is down when one of their loops is stuck, because no task begins there. */
@Injectable()
export class TasksHealth {
  readonly #loops = new Map<string, () => number>();

  constructor(@Optional() private readonly health?: HealthRegistry) {}

  /** @param stillFor milliseconds since the loop last turned, 0 while it need not turn */
  watch(loop: string, stillFor: () => number): void {
    if (this.#loops.size === 0) this.health?.register('tasks', () => this.check());
    this.#loops.set(loop, stillFor);
  }

  check(): HealthResult {
    for (const [loop, stillFor] of this.#loops) {
      const ms = stillFor();
      if (ms > STUCK_AFTER)
        return { status: 'down', state: `${loop} has not checked for tasks for ${Math.round(ms / 1000)} s` };
    }
    return { status: 'up' };
  }
}
