import TestSequencer from '@jest/test-sequencer';

/** A small generator of numbers 0 up to 1; the compiled testing library is not needed to sort files. */
function seeded(seed) {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
}

/**
 * Longest first, so that no worker begins a long file when the others have ended. Before a duration is known, files that start whole
 * replicas come before those of a library, and larger files before smaller ones. `YUXI_ORDER=random` shuffles by `YUXI_SEED` instead.
 */
export default class LongestFirst extends TestSequencer {
  sort(tests) {
    if (process.env.YUXI_ORDER === 'random') return shuffled(tests, seeded(Number(process.env.YUXI_SEED)));
    const bySize = super.sort(tests);
    const known = bySize.filter(({ duration }) => duration !== undefined);
    if (known.length === bySize.length) return bySize;
    return [...bySize.filter(startsReplicas), ...bySize.filter((test) => !startsReplicas(test))];
  }
}

const startsReplicas = ({ path }) => path.includes('/test/e2e/');

function shuffled(tests, random) {
  const sorted = tests.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  for (let i = sorted.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [sorted[i], sorted[j]] = [sorted[j], sorted[i]];
  }
  return sorted;
}
