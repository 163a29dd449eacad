import { type Duration, integerOption, OptionsError, toMs } from '@yuxi/core';

/** Waiting times that grow: `base`, then `factor` times longer with each step, at most `max`. */
export interface Steps {
  /** First step. */
  base: Duration;
  /** 1..100, default 2. */
  factor?: number;
  /** Longest step. Default 15 min. */
  max?: Duration;
  /** When no step begins for this time after the last one ended, the next step is the first again. Default 24 h. */
  resetAfter?: Duration;
}

/** How to decide while Redis is unavailable. */
export type OnUnavailable = 'local' | 'closed' | 'open';

export interface LimitPolicy {
  /** Lower-case letters, digits, `_`, `.`, `-`; begins with a letter, 1..32 characters. */
  name: string;
  /** Hits in a window, 1..1,000,000,000. Exact up to 128. Above, hits are counted by sixteenths of the window, never more than the limit. */
  limit: number;
  /** 1 ms .. 24 days. */
  window: Duration;
  /** A refused key stays refused for a step. The next refusal after that begins the next step. */
  block?: Steps;
  /** Instead of refusing all hits over the limit: each hit from the limit on is followed by a waiting time, longer with each step. */
  delay?: Steps;
  /**
   * While Redis is unavailable:
   * - `'local'` (default): each process decides on its share of the limit, with the last known hits of the others.
   * - `'closed'`: throws LimiterUnavailableError.
   * - `'open'`: allows every request.
   */
  onUnavailable?: OnUnavailable;
  /** Count and show in the metrics, but never refuse. Default `false`. */
  dryRun?: boolean;
  /** Send full and blocked keys to all processes, so that these refuse them also after Redis fails. Default `false`. */
  broadcast?: boolean;
}

export interface CompiledSteps {
  kind: 'block' | 'delay';
  baseUs: number;
  factor: number;
  maxUs: number;
  resetAfterUs: number;
}

/** A {@link LimitPolicy} after validation. */
export interface CompiledPolicy {
  name: string;
  limit: number;
  windowUs: number;
  steps?: CompiledSteps;
  onUnavailable: OnUnavailable;
  dryRun: boolean;
  broadcast: boolean;
  /** Text form for the scripts, for a cost of 1; see `lua/policy.lua`. */
  wire: string;
  /** The part of the text form that follows the cost. */
  wireTail: string;
}

const MAX_LIMIT = 1_000_000_000;
const NAME = /^[a-z][a-z0-9_.-]{0,31}$/;
const FALLBACKS: readonly unknown[] = ['local', 'closed', 'open'] satisfies OnUnavailable[];

/** @throws {OptionsError} naming policy, option, rule and value */
export function compilePolicy(policy: LimitPolicy): CompiledPolicy {
  if (typeof policy !== 'object' || policy === null) throw new OptionsError('policy', 'a LimitPolicy', policy);
  const { name, limit, onUnavailable = 'local', dryRun = false, broadcast = false } = policy;
  if (typeof name !== 'string' || !NAME.test(name))
    throw new OptionsError('name', '1..32 of a-z 0-9 _ . - beginning with a letter', name, 'limit policy');
  const where = `limit policy ${name}`;
  integerOption('limit', limit, { max: MAX_LIMIT, where });
  if (!FALLBACKS.includes(onUnavailable))
    throw new OptionsError('onUnavailable', "'local', 'closed' or 'open'", onUnavailable, where);
  for (const [option, value] of Object.entries({ dryRun, broadcast }))
    if (typeof value !== 'boolean') throw new OptionsError(option, 'true or false', value, where);
  if (policy.block && policy.delay) throw new OptionsError('block and delay', 'used one at a time', 2, where);
  const windowMs = toMs('window', policy.window, { where });
  const steps = policy.block ? compileSteps('block', policy.block, where) : compileDelay(policy.delay, where);
  const wireTail = tail(steps, dryRun, broadcast);
  return {
    name,
    limit,
    windowUs: windowMs * 1000,
    ...(steps && { steps }),
    onUnavailable,
    dryRun,
    broadcast,
    wire: `${limit},${windowMs}${wireTail && `,1,${wireTail}`}`,
    wireTail,
  };
}

/** Text form of a policy with a cost. */
export function wireOf({ wire, wireTail, limit, windowUs }: CompiledPolicy, cost: number): string {
  return cost === 1 ? wire : `${limit},${windowUs / 1000},${cost}${wireTail && `,${wireTail}`}`;
}

function compileDelay(steps: Steps | undefined, where: string): CompiledSteps | undefined {
  return steps && compileSteps('delay', steps, where);
}

function compileSteps(kind: 'block' | 'delay', steps: Steps, where: string): CompiledSteps {
  const { base, factor = 2, max = '15m', resetAfter = '24h' } = steps;
  if (typeof factor !== 'number' || !(factor >= 1 && factor <= 100))
    throw new OptionsError(`${kind}.factor`, 'a number 1..100', factor, where);
  const baseMs = toMs(`${kind}.base`, base, { where });
  return {
    kind,
    baseUs: baseMs * 1000,
    // The text form has four decimals, and this process must compute with the same value.
    factor: Number(factor.toFixed(4)),
    maxUs: Math.max(baseMs, toMs(`${kind}.max`, max, { where })) * 1000,
    resetAfterUs: toMs(`${kind}.resetAfter`, resetAfter, { where }) * 1000,
  };
}

function tail(steps: CompiledSteps | undefined, dryRun: boolean, broadcast: boolean): string {
  const flags = `${dryRun ? 's' : ''}${broadcast ? 'b' : ''}${steps ? { block: 'k', delay: 'd' }[steps.kind] : ''}`;
  if (!steps) return flags;
  return `${flags},${steps.baseUs / 1000},${steps.factor},${steps.maxUs / 1000},${steps.resetAfterUs / 1000}`;
}
