import { type Duration, OptionsError, toMs } from '@yuxi/core';

/** Growing times: `base`, then `factor` times longer with each step, at most `max`. */
export interface Steps {
  /** First step. */
  base: Duration;
  /** 1..100, default 2. */
  factor?: number;
  /** Longest step. Default 15 min. */
  max?: Duration;
  /** Time after the end of a step after which the next one is the first again. Default 24 h. */
  resetAfter?: Duration;
}

/** What to do when Redis cannot be asked. */
export type OnUnavailable = 'local' | 'closed' | 'open';

export interface LimitPolicy {
  /** Lower-case letters, digits, `_`, `.`, `-`; begins with a letter, 1..32 characters. */
  name: string;
  /** Hits in a window, 1..1,000,000,000. Up to 128 exact; above, by sixteenths of the window, never more than the limit. */
  limit: number;
  /** 1 ms .. 24 days. */
  window: Duration;
  /** Whoever is refused stays refused for a step; each further refusal after it takes the next one. */
  block?: Steps;
  /** Instead of a wall: from the hit that reaches the limit on, each further hit has to wait for a step, longer each time. */
  delay?: Steps;
  /**
   * `'local'` (default): each process decides for itself, on its share of the limit and with what it knows of others;
   * `'closed'`: LimiterUnavailableError; `'open'`: everything passes.
   */
  onUnavailable?: OnUnavailable;
  /** Count and show in the metrics, but never refuse. Default `false`. */
  shadow?: boolean;
  /** Tell all processes when a key is full or blocked, so that they know it before an outage. Default `false`. */
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
  shadow: boolean;
  broadcast: boolean;
  /** As the scripts read it, for a cost of 1; see `lua/policy.lua`. */
  wire: string;
  /** What follows the cost on the wire. */
  wireTail: string;
}

export const MAX_LIMIT = 1_000_000_000;
const NAME = /^[a-z][a-z0-9_.-]{0,31}$/;
const FALLBACKS: readonly unknown[] = ['local', 'closed', 'open'] satisfies OnUnavailable[];

/** @throws {OptionsError} naming policy, option, rule and value */
export function compilePolicy(policy: LimitPolicy): CompiledPolicy {
  if (typeof policy !== 'object' || policy === null) throw new OptionsError('policy', 'a LimitPolicy', policy);
  const { name, limit, onUnavailable = 'local', shadow = false, broadcast = false } = policy;
  if (typeof name !== 'string' || !NAME.test(name))
    throw new OptionsError('name', '1..32 of a-z 0-9 _ . - beginning with a letter', name, 'limit policy');
  const where = `limit policy ${name}`;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new OptionsError('limit', `an integer 1..${MAX_LIMIT}`, limit, where);
  if (!FALLBACKS.includes(onUnavailable))
    throw new OptionsError('onUnavailable', "'local', 'closed' or 'open'", onUnavailable, where);
  for (const [option, value] of Object.entries({ shadow, broadcast }))
    if (typeof value !== 'boolean') throw new OptionsError(option, 'true or false', value, where);
  if (policy.block && policy.delay) throw new OptionsError('block and delay', 'given one at a time', 2, where);
  const windowMs = toMs('window', policy.window, { where });
  const steps = policy.block ? compileSteps('block', policy.block, where) : compileDelay(policy.delay, where);
  const wireTail = tail(steps, shadow, broadcast);
  return {
    name,
    limit,
    windowUs: windowMs * 1000,
    ...(steps && { steps }),
    onUnavailable,
    shadow,
    broadcast,
    wire: `${limit},${windowMs}${wireTail && `,1,${wireTail}`}`,
    wireTail,
  };
}

/** A policy on the wire with a cost. */
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
    // As the wire carries it.
    factor: Number(factor.toFixed(4)),
    maxUs: Math.max(baseMs, toMs(`${kind}.max`, max, { where })) * 1000,
    resetAfterUs: toMs(`${kind}.resetAfter`, resetAfter, { where }) * 1000,
  };
}

function tail(steps: CompiledSteps | undefined, shadow: boolean, broadcast: boolean): string {
  const flags = `${shadow ? 's' : ''}${broadcast ? 'b' : ''}${steps ? { block: 'k', delay: 'd' }[steps.kind] : ''}`;
  if (!steps) return flags;
  return `${flags},${steps.baseUs / 1000},${steps.factor},${steps.maxUs / 1000},${steps.resetAfterUs / 1000}`;
}
