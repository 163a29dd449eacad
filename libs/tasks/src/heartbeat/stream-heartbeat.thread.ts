import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Logger } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import { RedisAvailability, RedisConnections } from '@yuxi/redis';
import { BEAT } from '../streams/scripts.js';
import { watchMainLoop } from './main-loop.js';
import type { StreamHeartbeatData, StreamHeartbeatOrder, StreamHeartbeatReport } from './stream-heartbeat.js';

const EVERY = 1000;

const data = workerData as StreamHeartbeatData;
const { redis, lease, maxCrashes, deadLetters, keepDead } = data;
const mainLoopTurns = watchMainLoop(data);
const members = new Map<string, string>();
// The main thread logs failures of Redis. This thread would log them a second time.
Logger.overrideLogger(false);
const connections = new RedisConnections(redis, new RedisAvailability('tasks'));

const main: MessagePort = parentPort!;

main.on('message', (order: StreamHeartbeatOrder) => {
  if (order.kind === 'join') members.set(order.key, order.worker);
  else members.delete(order.key);
});

function report(message: StreamHeartbeatReport): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- this is a thread, not a window
  main.postMessage(message);
}

async function renew(key: string, worker: string): Promise<void> {
  const args = [worker, lease, maxCrashes, deadLetters, keepDead];
  const [member, back, list] = (await BEAT.run(connections.shared, [key], args)) as [number, number, string];
  if (members.get(key) !== worker) return;
  if (back > 0) report({ kind: 'recovered', key, worker, count: back });
  if (member === 0) report({ kind: 'lost', key, worker, list });
  else if (list !== '') report({ kind: 'cancels', key, worker, list });
}

for (;;) {
  const from = monotonicMs();
  if (mainLoopTurns()) await Promise.allSettled([...members].map(([key, worker]) => renew(key, worker)));
  await sleep(Math.max(10, Math.min(EVERY, lease / 5) - (monotonicMs() - from)), undefined, true);
}
