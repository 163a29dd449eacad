import { OptionsError } from './errors.js';

export interface IntegerRule {
  /** Smallest value allowed. Default 1. */
  min?: number;
  /** Largest value allowed. Default `Number.MAX_SAFE_INTEGER`. */
  max?: number;
  /** Named in the error, for example `@Task on MailService.send`. */
  where?: string;
}

/**
 * Checks an option that must be an integer.
 * @returns `value`
 * @throws {OptionsError} naming `option`, the rule and the value, when it is not an integer within the range
 */
export function integerOption(option: string, value: unknown, rule: IntegerRule = {}): number {
  const { min = 1, max = Number.MAX_SAFE_INTEGER, where } = rule;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `an integer from ${min}` : `an integer ${min}..${max}`;
  throw new OptionsError(option, range, value, where);
}
