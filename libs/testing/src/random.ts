/** Numbers from 0 up to 1, by a linear congruential generator. The same seed gives the same numbers. Not for secrets. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
}

/**
 * The seed of this run: `YUXI_SEED` if it is set, else random, 0..999,999. A test run sets it for all its workers, and prints it in its
 * last lines. So one number repeats all random choices of all tests.
 */
export function runSeed(): number {
  const given = process.env['YUXI_SEED'];
  if (given === undefined || given === '') return (fallback ??= Date.now() % 1_000_000);
  if (!/^\d{1,9}$/.test(given)) throw new Error(`YUXI_SEED must be an integer from 0, got ${JSON.stringify(given)}`);
  return Number(given);
}

/** Outside of a test run: the same for the whole process. */
let fallback: number | undefined;
