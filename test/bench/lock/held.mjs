import { setTimeout as pause } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { setFlagsFromString } from 'node:v8';
import { openLocks } from './ours.mjs';

const COUNT = 10_000;
const TOGETHER = 500;
/** Longer than a third of the ttl, so that each lock is renewed once, milliseconds. */
const WATCHED = 12_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** Cost of 10,000 locks that one process holds: renewal and memory. */
export async function held({ server, row }) {
  const { app, locks } = await openLocks(server.url);
  await locks.withLock('warm', async () => undefined);
  collect();
  const before = process.memoryUsage().heapUsed;
  const all = [];
  for (let i = 0; i < COUNT; i += TOGETHER) {
    const names = Array.from({ length: TOGETHER }, (_, j) => `held ${i + j}`);
    all.push(...(await Promise.all(names.map((name) => locks.acquire(name, { ttl: '30s' })))));
  }
  collect();
  const heap = (process.memoryUsage().heapUsed - before) / COUNT / 1024;
  const [cpu, from] = [process.cpuUsage(), performance.now()];
  await pause(WATCHED);
  const { user, system } = process.cpuUsage(cpu);
  row('10,000 held: CPU of one core for renewal', (user + system) / 10 / (performance.now() - from), '%', '<= 3');
  row('10,000 held: heap of each', heap, 'KB', '<= 1.5');
  await Promise.all(all.map((lock) => lock.release()));
  await app.close();
}
