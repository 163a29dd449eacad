/** Numbers from 0 up to 1 by a small linear congruential generator: the same seed gives the same ones. Not for secrets. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
}

/**
 * The seed of this run, 0..999,999: `YUXI_SEED` where it is set. A test run sets it for all its workers and prints it in its last lines,
 * so that one number repeats every random choice of every test.
 */
export function runSeed(): number {
  const given = process.env['YUXI_SEED'];
  if (given === undefined || given === '') return (fallback ??= Date.now() % 1_000_000);
  if (!/^\d{1,9}$/.test(given)) throw new Error(`YUXI_SEED must be a whole number, got ${JSON.stringify(given)}`);
  return Number(given);
}

/** Without a test run around it: the same for the whole process. */
let fallback: number | undefined;
