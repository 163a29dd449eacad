import { expect, it } from '@jest/globals';
import { Coalesced } from './coalesced.js';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

it('coalesced work runs once at a time, and each caller gets a run that began after its call', async () => {
  const gates: (() => void)[] = [];
  let running = 0;
  let most = 0;
  const reads = new Coalesced(async () => {
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => gates.push(resolve));
    running--;
  });

  const first = reads.run();
  await settle();
  const late = [reads.run(), reads.run(), reads.run()];
  let served = false;
  void Promise.race(late).then(() => (served = true));
  gates.shift()!();
  await first;
  await settle();
  expect({ served, waiting: gates.length }).toEqual({ served: false, waiting: 1 });
  gates.shift()!();
  await Promise.all(late);
  expect({ most, waiting: gates.length }).toEqual({ most: 1, waiting: 0 });
});
