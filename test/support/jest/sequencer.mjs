import TestSequencer from '@jest/test-sequencer';

/**
 * The longest test file first, so that no worker starts a long file when the others have ended. While durations are unknown, files
 * that start replicas are first, and larger files before smaller ones. `YUXI_ORDER=random` shuffles by `YUXI_SEED` instead.
 */
export default class LongestFirst extends TestSequencer {
  sort(tests) {
    return process.env.YUXI_ORDER === 'random' ? shuffled(tests) : longestFirst(super.sort(tests));
  }
}

/** @param bySize by duration if it is known, else by file size */
function longestFirst(bySize) {
  if (bySize.every(({ duration }) => duration !== undefined)) return bySize;
  return [...bySize.filter(startsReplicas), ...bySize.filter((test) => !startsReplicas(test))];
}

const startsReplicas = ({ path }) => path.includes('/test/e2e/');

async function shuffled(tests) {
  const { seededRandom } = await import('../../../libs/testing/dist/random.js');
  const random = seededRandom(Number(process.env.YUXI_SEED));
  const sorted = tests.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  for (let i = sorted.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [sorted[i], sorted[j]] = [sorted[j], sorted[i]];
  }
  return sorted;
}
