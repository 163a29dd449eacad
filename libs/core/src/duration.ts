import { OptionsError } from './errors.js';

/** Milliseconds as a number, or a number with a unit: `'250ms'`, `'30s'`, `'5m'`, `'1h'`, `'7d'`. */
export type Duration = number | string;

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const FORM = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** Longest delay of a Node timer. A longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

export interface DurationRule {
  /** Smallest value allowed, milliseconds. Default 1. */
  min?: number;
  /** Largest value allowed, milliseconds. Default {@link MAX_TIMER_MS}. */
  max?: number;
  /** Named in the error, e.g. `@WithLock on KbService.index`. */
  where?: string;
}

/**
 * Reads a duration given by a caller as whole milliseconds.
 * @throws {OptionsError} naming `option`, the rule and the value, when it is not a whole number within the range
 */
export function toMs(option: string, value: Duration, rule: DurationRule = {}): number {
  const { min = 1, max = MAX_TIMER_MS, where } = rule;
  const ms = typeof value === 'string' ? parse(value) : value;
  if (typeof ms !== 'number' || !Number.isInteger(ms) || ms < min || ms > max)
    throw new OptionsError(option, `an integer ${min}..${max} ms or a duration like '30s'`, value, where);
  return ms;
}

function parse(text: string): number {
  const [, amount, unit] = FORM.exec(text) ?? [];
  return amount && unit ? Number(amount) * UNIT_MS[unit]! : Number.NaN;
}
