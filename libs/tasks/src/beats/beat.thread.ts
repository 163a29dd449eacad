import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Logger } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import { RedisAvailability, RedisConnections } from '@yuxi/redis';
import type { BeatNews, BeatOrder, BeatThreadData } from './beats.js';
import { BEAT } from '../streams/scripts.js';
import { watchMainLoop } from './main-loop.js';

const EVERY = 1000;

const data = workerData as BeatThreadData;
const { redis, lease, maxCrashes, deadLetters, keepDead } = data;
const mainLoopTurns = watchMainLoop(data);
const members = new Map<string, string>();
// The application says what is wrong with Redis; twice would be once too often.
Logger.overrideLogger(false);
const connections = new RedisConnections(redis, new RedisAvailability('tasks'));

const main: MessagePort = parentPort!;

main.on('message', (order: BeatOrder) => {
  if (order.kind === 'join') members.set(order.key, order.worker);
  else members.delete(order.key);
});

function tell(news: BeatNews): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- this is a thread, not a window
  main.postMessage(news);
}

async function beat(key: string, worker: string): Promise<void> {
  const args = [worker, lease, maxCrashes, deadLetters, keepDead];
  const [member, back, list] = (await BEAT.run(connections.shared, [key], args)) as [number, number, string];
  if (members.get(key) !== worker) return;
  if (back > 0) tell({ kind: 'recovered', key, worker, count: back });
  if (member === 0) tell({ kind: 'lost', key, worker, list });
  else if (list !== '') tell({ kind: 'cancels', key, worker, list });
}

for (;;) {
  const from = monotonicMs();
  if (mainLoopTurns()) await Promise.allSettled([...members].map(([key, worker]) => beat(key, worker)));
  await sleep(Math.max(10, Math.min(EVERY, lease / 5) - (monotonicMs() - from)), undefined, true);
}
