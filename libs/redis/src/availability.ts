import { Logger } from '@nestjs/common';
import { type Observable, Subject } from 'rxjs';
import { explainReason } from './redis.errors.js';

/** The cause of a closed connection is known when the next attempt fails. The log line waits for it, milliseconds. */
const CLOSE_CAUSE_DELAY = 100;

export type RedisState = 'up' | 'down' | 'absent';

export interface AvailabilityChange {
  state: RedisState;
  previous: RedisState;
  /** Why it is down; `undefined` when up. */
  reason?: string;
}

/**
 * Whether this process can use Redis. `down`: not reachable, or it refuses writes; services use their fallbacks.
 * `absent`: no Redis is configured; this never changes.
 */
export class RedisAvailability {
  readonly #logger = new Logger('Redis');
  readonly #changes = new Subject<AvailabilityChange>();
  /** Reasons already logged in this outage. */
  readonly #logged = new Set<string>();
  #logTimer: NodeJS.Timeout | undefined;
  #wasUp = false;
  #state: RedisState;
  #reason: string | undefined;

  /** @param where host and port for log lines, without secrets; `undefined`: no Redis is configured */
  constructor(private readonly where?: string) {
    this.#state = where === undefined ? 'absent' : 'down';
    this.#reason = where === undefined ? 'absent' : 'connecting';
  }

  get state(): RedisState {
    return this.#state;
  }

  /** Why it is not up: a reason as `unavailableReason` returns it; `undefined` when up. May change while down. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Emits each change of `state`, not of the reason alone. A new subscriber gets no earlier change. */
  get changes(): Observable<AvailabilityChange> {
    return this.#changes.asObservable();
  }

  /** Called by the module when a write has succeeded. */
  markUp(): void {
    if (this.#state !== 'down') return;
    clearTimeout(this.#logTimer);
    this.#logger.log(`Redis is ${this.#wasUp ? 'back' : 'connected'} (${this.where})`);
    this.#logged.clear();
    this.#wasUp = true;
    this.#setState('up', undefined);
  }

  /** Called by the module with a reason of `unavailableReason`. The vague `closed` never replaces a known reason. */
  markDown(reason: string): void {
    if (this.#state === 'absent') return;
    if (this.#state === 'down' && reason === 'closed' && this.#reason !== 'connecting') return;
    if (this.#state === 'down') this.#reason = reason;
    else this.#setState('down', reason);
    clearTimeout(this.#logTimer);
    if (reason === 'closed') this.#logTimer = setTimeout(() => this.#log(reason), CLOSE_CAUSE_DELAY).unref();
    else this.#log(reason);
  }

  /** Writes one line for each reason in an outage. */
  #log(reason: string): void {
    if (this.#logged.has(reason)) return;
    this.#logged.add(reason);
    this.#logger.warn(`Redis is unavailable (${reason}) at ${this.where}: ${explainReason(reason)}`);
  }

  #setState(state: RedisState, reason: string | undefined): void {
    const previous = this.#state;
    this.#state = state;
    this.#reason = reason;
    this.#changes.next({ state, previous, reason });
  }
}

/** For a health endpoint. An unavailable Redis is `degraded`, never `down`: every service has a fallback. No configured Redis is `up`. */
export function redisHealth(availability: RedisAvailability): { status: 'up' | 'degraded'; state: string } {
  const { state, reason } = availability;
  if (state === 'down') return { status: 'degraded', state: reason ?? 'down' };
  return { status: 'up', state: state === 'absent' ? 'absent' : 'connected' };
}
