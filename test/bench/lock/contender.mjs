// One of several processes that compete for one lock. It reports its turns, with times of the clock that all processes share.
import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { commandsSent, open } from './peers.mjs';

/** CLOCK_MONOTONIC, milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

process.once('message', (order) => void run(order));
process.once('disconnect', () => process.exit(0));

async function run({ name, url, poll, key, loops, ms, once, section }) {
  const acquire = await open(name, url, poll);
  for (let i = 0; i < 20; i++) await (await acquire(`${key} warm ${process.pid}`))();
  process.send('ready');
  await new Promise((resolve) => process.once('message', resolve));
  const from = clock();
  const before = commandsSent();
  const turns = [];
  const errors = [];
  const state = { ended: false };
  const loop = async (_, i) => {
    while (!state.ended) {
      const requested = clock();
      try {
        const release = await acquire(key);
        const entered = clock();
        if (section > 0) await pause(section);
        const left = clock();
        await release();
        if (!state.ended) turns.push({ caller: `${process.pid}.${i}`, requested, entered, left });
      } catch (error) {
        errors.push(String(error));
        await pause(50);
        continue;
      }
      if (once) return;
    }
  };
  const loopsDone = Promise.all(Array.from({ length: loops }, loop));
  await (once ? Promise.race([loopsDone, pause(ms, undefined, { ref: false })]) : pause(ms));
  state.ended = true;
  const commands = commandsSent() - before;
  // Exits at once. Callers that still wait would never get a lock, because its name is not used again.
  process.send({ from, turns, commands, errors: errors.length, error: errors[0] }, () => process.exit(0));
}
