// One of several processes that contend for one lock: says each grant, at the end, as one message.
import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { openLocks } from './ours.mjs';

process.once('message', ({ url, loops, ms, once }) => void run(url, loops, ms, once));

async function run(url, loops, ms, once) {
  const { locks } = await openLocks(url);
  await locks.withLock(`warm ${process.pid}`, async () => undefined);
  process.send('ready');
  await new Promise((resolve) => process.once('message', resolve));
  const end = performance.now() + ms;
  const turns = await Promise.all(
    Array.from({ length: loops }, async () => {
      const waits = [];
      const sections = [];
      const most = once ? 1 : Infinity;
      while (performance.now() < end && waits.length < most) {
        const asked = performance.now();
        const lock = await locks.acquire('contended', { wait: '60s' });
        const entered = performance.now();
        await pause(1);
        sections.push(performance.now() - entered);
        await lock.release();
        waits.push(entered - asked);
      }
      return { waits, sections };
    }),
  );
  process.send(turns, () => process.exit(0));
}
