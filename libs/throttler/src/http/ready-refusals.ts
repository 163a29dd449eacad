import { HttpStatus } from '@nestjs/common';
import type { Decision, LimitAnswer } from '../limiter.types.js';
import { type LimitHeaderOptions, limitHeaders, retryAfterSeconds, saySame } from './limit-headers.js';
import { bodyOf, type Refusal, refusalOf } from './limiter.errors.js';

/** Answers that are kept at most: those of one route for clients with different times to wait. */
const MOST_KEPT = 1000;

/** What a refused client is told. */
export interface ReadyRefusal {
  readonly refusal: Refusal;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** JSON of the library's own answer. */
  readonly body: string;
}

interface Kept extends ReadyRefusal {
  limits: readonly LimitAnswer[];
}

/** Texts of the refusals of one route. They change once a second; clients that do not wait ask thousands of times. */
export class ReadyRefusals {
  readonly #bySeconds = new Map<number, Kept>();

  constructor(private readonly options: LimitHeaderOptions) {}

  of(decision: Decision): ReadyRefusal {
    const seconds = retryAfterSeconds(decision);
    const { limits } = decision;
    const kept = this.#bySeconds.get(seconds);
    if (kept && saySame(kept.limits, limits)) return kept;
    if (this.#bySeconds.size >= MOST_KEPT) this.#bySeconds.clear();
    const refusal = refusalOf(decision);
    const headers = Object.entries(limitHeaders(decision, this.options));
    headers.push(['content-type', 'application/json; charset=utf-8']);
    const body = JSON.stringify(bodyOf(refusal, HttpStatus.TOO_MANY_REQUESTS));
    const made = { limits, refusal, headers, body };
    this.#bySeconds.set(seconds, made);
    return made;
  }
}
