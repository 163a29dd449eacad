import type { RegisteredTask } from '../task.registry.js';

/** One claim: these names, at most so many. */
export interface ClaimStep {
  known: Record<string, number>;
  limit: number;
}

/**
 * How to fill `free` places: handlers with a limit of their own are claimed one by one, all others together.
 * @param running runs by task name
 * @param turn shifts the order, so that no handler is always last
 */
export function planClaims(
  tasks: readonly RegisteredTask[],
  running: ReadonlyMap<string, number>,
  free: number,
  turn: number,
): ClaimStep[] {
  const shared: Record<string, number> = {};
  const steps: ClaimStep[] = [];
  for (const { name, version, concurrency } of tasks) {
    if (concurrency === undefined) shared[name] = version;
    else if (concurrency > (running.get(name) ?? 0))
      steps.push({ known: { [name]: version }, limit: Math.min(free, concurrency - (running.get(name) ?? 0)) });
  }
  if (Object.keys(shared).length > 0) steps.unshift({ known: shared, limit: free });
  const shift = steps.length > 0 ? turn % steps.length : 0;
  return [...steps.slice(shift), ...steps.slice(0, shift)];
}
