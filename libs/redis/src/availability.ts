import { Logger } from '@nestjs/common';
import { type Observable, Subject } from 'rxjs';
import { explainReason } from './reasons.js';

const CAUSE_KNOWN_AFTER = 100;

export type RedisState = 'up' | 'down' | 'absent';

export interface AvailabilityChange {
  state: RedisState;
  previous: RedisState;
  /** Why it is down; `undefined` when up. */
  reason?: string;
}

/**
 * The one place that knows whether Redis can be used. `down`: not reachable or refusing to work, services use their
 * fallbacks; `absent`: none is configured, for ever.
 */
export class RedisAvailability {
  readonly #logger = new Logger('Redis');
  readonly #changes = new Subject<AvailabilityChange>();
  readonly #told = new Set<string>();
  #telling: NodeJS.Timeout | undefined;
  #wasUp = false;
  #state: RedisState;
  #reason: string | undefined;

  /** @param where host and port for log lines, no secret; `undefined`: no Redis is configured. */
  constructor(private readonly where?: string) {
    this.#state = where === undefined ? 'absent' : 'down';
    this.#reason = where === undefined ? 'absent' : 'connecting';
  }

  get state(): RedisState {
    return this.#state;
  }

  /** Why it is not up, a word of `unavailableReason`; `undefined` when up. May change while down. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Each change of `state`, not of the reason alone. Nothing is replayed on subscribing. */
  get changes(): Observable<AvailabilityChange> {
    return this.#changes.asObservable();
  }

  /** Called by the module when a write has succeeded. */
  markUp(): void {
    if (this.#state !== 'down') return;
    clearTimeout(this.#telling);
    this.#logger.log(`Redis is ${this.#wasUp ? 'back' : 'connected'} (${this.where})`);
    this.#told.clear();
    this.#wasUp = true;
    this.#move('up', undefined);
  }

  /** Called by the module with a word of `unavailableReason`. A vague `closed` never hides a reason already known. */
  markDown(reason: string): void {
    if (this.#state === 'absent') return;
    if (this.#state === 'down' && reason === 'closed' && this.#reason !== 'connecting') return;
    if (this.#state === 'down') this.#reason = reason;
    else this.#move('down', reason);
    clearTimeout(this.#telling);
    // Why a connection closed is known only when the next attempt fails: one line then, not two.
    if (reason === 'closed') this.#telling = setTimeout(() => this.#tell(reason), CAUSE_KNOWN_AFTER).unref();
    else this.#tell(reason);
  }

  /** One line for each reason in an outage. */
  #tell(reason: string): void {
    if (this.#told.has(reason)) return;
    this.#told.add(reason);
    this.#logger.warn(`Redis is unavailable (${reason}) at ${this.where}: ${explainReason(reason)}`);
  }

  #move(state: RedisState, reason: string | undefined): void {
    const previous = this.#state;
    this.#state = state;
    this.#reason = reason;
    this.#changes.next({ state, previous, reason });
  }
}
