// The task queue on Redis Streams compared with other queues and with a plain stream, in interleaved rounds.
//
// npm run bench -- tasks [--json] [--check] [--rounds N] [--only empty,real,enqueue,idle,memory]
import 'reflect-metadata';
import { startRedis } from '@yuxi/testing';
import { median } from './measure.mjs';
import { report } from './report.mjs';
import { Meter } from './tasks/meter.mjs';
import { openOurs } from './tasks/ours.mjs';
import { availablePeers, installPeers, PEERS } from './tasks/peers.mjs';
import { openRaw } from './tasks/raw.mjs';

const options = process.argv.slice(2);
const valueOf = (name, standard) => (options.includes(name) ? options[options.indexOf(name) + 1] : standard);
if (options.includes('--help')) {
  console.log('Usage: npm run bench -- tasks [--json] [--check] [--rounds N] [--only empty,real,enqueue,idle,memory]');
  process.exit(0);
}
const rounds = Number(valueOf('--rounds', 5));
const parts = valueOf('--only', 'empty,real,enqueue,idle,memory').split(',');
const OURS = '@yuxi/tasks';
const RAW = 'raw stream';
/** 90 bytes as JSON. */
const payload = (n) => ({ n, text: 'x'.repeat(90 - JSON.stringify({ n, text: '' }).length) });

const rows = [];
const row = (what, value, unit, bar) => rows.push({ what, value, unit, bar });

installPeers();
const server = await startRedis();
const meter = new Meter(server);
const SYSTEMS = {
  [RAW]: openRaw,
  [OURS]: openOurs,
  ...Object.fromEntries(availablePeers().map((name) => [name, PEERS[name]])),
};
try {
  if (parts.includes('empty'))
    for (const [slots, count] of [
      [1, 4000],
      [10, 20_000],
      [100, 40_000],
    ])
      await workThrough('empty tasks', slots, count, () => undefined, SYSTEMS);
  const { [RAW]: _, ...queues } = SYSTEMS;
  if (parts.includes('real'))
    for (const [slots, count] of [
      [10, 600],
      [100, 6000],
    ])
      await workThrough('tasks of 20-80 ms', slots, count, pause, queues);
  if (parts.includes('enqueue')) await enqueue(queues);
  if (parts.includes('idle')) await idle(queues);
  if (parts.includes('memory')) await memory(queues);
} finally {
  meter.close();
  await server.stop();
}
report('tasks', rows, options);
process.exit(0);

/** The same pauses for all systems. */
function pause({ n }) {
  return new Promise((resolve) => setTimeout(resolve, 20 + ((n * 7919) % 61)));
}

function signal() {
  let send;
  const sent = new Promise((resolve) => (send = resolve));
  return { sent, send };
}

async function eachInterleaved(systems, work) {
  const results = Object.fromEntries(Object.keys(systems).map((name) => [name, []]));
  // The first round only warms up the compiler.
  for (let round = 0; round <= rounds; round++)
    for (const [name, open] of Object.entries(systems)) {
      await meter.empty();
      const queue = await open(server.url);
      const result = await work(queue);
      await queue.close();
      if (round > 0) results[name].push(result);
    }
  return results;
}

async function workThrough(kind, slots, count, run, systems) {
  const results = await eachInterleaved(systems, async (queue) => {
    // The first tasks take all slots and wait, so that the start of the workers is not measured.
    await queue.addMany(Array.from({ length: slots }, () => payload(-1)));
    for (let n = 0; n < count; n += 1000)
      await queue.addMany(Array.from({ length: Math.min(1000, count - n) }, (_, i) => payload(n + i)));
    let waiting = 0;
    let ended = 0;
    const full = signal();
    const open = signal();
    const over = signal();
    const stop = await queue.work(slots, async (task) => {
      if (task.n < 0) {
        if (++waiting === slots) full.send();
        await open.sent;
        return;
      }
      await run(task);
      if (++ended === count) over.send();
    });
    await full.sent;
    const result = await meter.measure(count, async () => {
      open.send();
      await over.sent;
    });
    await stop();
    return result;
  });
  rowsOf(`${kind}, ${slots} in flight`, results, { real: run === pause, slots });
}

function rowsOf(what, results, { real, slots }) {
  const of = (name, field) => median(results[name].map((each) => each[field]));
  for (const name of Object.keys(results)) {
    row(`${what}, ${name}: rate`, of(name, 'rate'), '/s');
    row(`${what}, ${name}: CPU of Redis`, of(name, 'redis'), 'us');
    row(`${what}, ${name}: CPU of Node`, of(name, 'node'), 'us');
    row(`${what}, ${name}: commands a task`, of(name, 'sent'), '');
  }
  const over = (other, field) => median(results[OURS].map((each, i) => each[field] / results[other][i][field]));
  if (results.bullmq) {
    row(
      `${what}: rate over BullMQ`,
      over('bullmq', 'rate'),
      'x',
      real ? '~ 1' : `>= ${{ 1: 1.5, 10: 3, 100: 5 }[slots]}`,
    );
    row(`${what}: CPU of Redis over BullMQ`, over('bullmq', 'redis'), 'x', real ? '<= 0.4' : undefined);
  }
  if (results[RAW]) row(`${what}: rate over a raw stream`, over(RAW, 'rate'), 'x', slots > 1 ? '>= 0.6' : undefined);
}

async function enqueue(systems) {
  for (const { what, count, work } of [
    { what: 'enqueue, one after the other', count: 2000, work: one },
    { what: 'enqueue, 100 in flight', count: 20_000, work: hundred },
    { what: 'enqueue, 1000 at once', count: 40_000, work: thousand },
  ]) {
    const results = await eachInterleaved(systems, (queue) => meter.measure(count, () => work(queue, count)));
    const of = (name, field) => median(results[name].map((each) => each[field]));
    for (const name of Object.keys(results)) {
      row(`${what}, ${name}: rate`, of(name, 'rate'), '/s');
      row(`${what}, ${name}: CPU of Redis`, of(name, 'redis'), 'us');
    }
    if (results.bullmq)
      row(
        `${what}: rate over BullMQ`,
        median(results[OURS].map(({ rate }, i) => rate / results.bullmq[i].rate)),
        'x',
        work === one ? undefined : '>= 3',
      );
  }
}

async function one(queue, count) {
  for (let n = 0; n < count; n++) await queue.add(payload(n));
}

async function hundred(queue, count) {
  let n = 0;
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      while (n < count) await queue.add(payload(n++));
    }),
  );
}

async function thousand(queue, count) {
  for (let n = 0; n < count; n += 1000) await queue.addMany(Array.from({ length: 1000 }, (_, i) => payload(n + i)));
}

/** From the call that adds a task to an idle queue until its handler begins. */
async function idle(systems) {
  const COUNT = 800;
  const WARM_UP = 1500;
  const results = await eachInterleaved(systems, async (queue) => {
    let begun;
    const stop = await queue.work(10, () => begun());
    const waits = [];
    const warmAt = performance.now() + WARM_UP;
    for (let n = 0; waits.length < COUNT; n++) {
      const from = performance.now();
      const done = new Promise((resolve) => (begun = resolve));
      await Promise.all([done, queue.add(payload(n))]);
      if (from >= warmAt) waits.push(performance.now() - from);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await stop();
    return waits.toSorted((a, b) => a - b);
  });
  const at = (name, share) => median(results[name].map((waits) => waits[Math.floor(waits.length * share)]));
  for (const name of Object.keys(results)) {
    row(`idle, ${name}: added until begun, p50`, at(name, 0.5), 'ms', name === OURS ? '<= 1' : undefined);
    row(
      `idle, ${name}: added until begun, p99`,
      at(name, 0.99),
      'ms',
      name === OURS && results.bullmq ? `<= ${at('bullmq', 0.99)}` : undefined,
    );
  }
}

async function memory(systems) {
  for (const [name, open] of Object.entries(systems)) {
    await meter.empty();
    const queue = await open(server.url);
    const before = await meter.memory();
    for (let n = 0; n < 100_000; n += 1000) await queue.addMany(Array.from({ length: 1000 }, (_, i) => payload(n + i)));
    const bytes = (await meter.memory()) - before;
    row(`100,000 waiting, ${name}`, bytes / 1e6, 'MB', name === OURS ? '<= 20' : undefined);
    await queue.close();
  }
}
