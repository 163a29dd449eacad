// The lock beside the two commands it cannot do without. npm run bench -- lock [--json]
import 'reflect-metadata';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { openLocks } from './lock/ours.mjs';
import { print } from './product/table.mjs';

const options = process.argv.slice(2);
if (options.includes('--help')) {
  console.log('Usage: npm run bench -- lock [--json] [--rounds N]');
  process.exit(0);
}
const rounds = Number(options[options.indexOf('--rounds') + 1]) || 5;
const CONTENDER = fileURLToPath(new URL('./lock/contender.mjs', import.meta.url));
const COMPARE_AND_DELETE =
  'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0';
const PROCESSES = 4;

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const rows = [];
const server = await startRedis();
const { app, locks } = await openLocks(server.url);
const plain = new Redis(server.url);
try {
  await uncontended(1, { commands: '<= 2', rate: undefined, cpu: '<= 1.15' });
  await uncontended(64, { commands: undefined, rate: '>= 1', cpu: '<= 1' });
  await contended();
  await herd();
  await held();
} finally {
  plain.disconnect();
  await app.close();
  await server.stop();
}
print(rows, options.includes('--json'));

const ours = async (i) => (await locks.acquire(`own ${i}`)).release();

async function uncontended(width, bars) {
  const sha = await plain.script('LOAD', COMPARE_AND_DELETE);
  let count = 0;
  const raw = async (i) => {
    const token = `token-0123456789.${count++}`;
    await plain.set(`raw:${i}`, token, 'PX', 30_000, 'NX');
    await plain.evalsha(sha, 1, `raw:${i}`, token);
  };
  const results = { raw: [], ours: [] };
  for (let round = 0; round <= rounds; round++)
    for (const [name, pair] of Object.entries({ raw, ours })) {
      const result = await measure(pair, width);
      // The first round compiles.
      if (round > 0) results[name].push(result);
    }
  const of = (name, field) => median(results[name].map((result) => result[field]));
  const what = width === 1 ? 'one at a time' : `${width} in flight`;
  rows.push({ what: `${what}: raw`, value: of('raw', 'rate'), unit: 'pairs/s' });
  rows.push({ what: `${what}: lock`, value: of('ours', 'rate'), unit: 'pairs/s' });
  rows.push({
    what: `${what}: rate over raw`,
    value: of('ours', 'rate') / of('raw', 'rate'),
    unit: 'x',
    bar: bars.rate,
  });
  rows.push({ what: `${what}: CPU over raw`, value: of('ours', 'cpu') / of('raw', 'cpu'), unit: 'x', bar: bars.cpu });
  rows.push({ what: `${what}: commands a pair`, value: of('ours', 'commands'), unit: '', bar: bars.commands });
}

async function measure(pair, width) {
  const [cpuBefore, serverBefore, before] = [process.cpuUsage(), cpuOfServer(), await commandsSent()];
  const from = performance.now();
  let pairs = 0;
  await Promise.all(
    Array.from({ length: width }, async (_, i) => {
      for (; performance.now() - from < 1000; pairs++) await pair(i);
    }),
  );
  const seconds = (performance.now() - from) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpu = (user + system + cpuOfServer() - serverBefore) / pairs;
  return { rate: pairs / seconds, cpu, commands: ((await commandsSent()) - before) / pairs };
}

/** 32 callers in four processes, 1 ms under the lock. */
async function contended() {
  const ms = 4000;
  const before = await commandsSent();
  const turns = await contend({ loops: 8, ms });
  const sent = (await commandsSent()) - before;
  const counts = turns.map(({ waits }) => waits.length);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const waits = turns.flatMap((turn) => turn.waits).toSorted((a, b) => a - b);
  const section = median(turns.flatMap((turn) => turn.sections));
  const trip = await roundTrip();
  const limit = 1000 / (section + 1.5 * trip);
  const jain = total ** 2 / (counts.length * counts.reduce((sum, count) => sum + count ** 2, 0));
  rows.push({ what: '32 callers: turns', value: total / (ms / 1000), unit: '/s' });
  rows.push({
    what: '32 callers: share of the limit',
    value: (total / (ms / 1000) / limit) * 100,
    unit: '%',
    bar: '>= 85',
  });
  rows.push({ what: '32 callers: Jain index', value: jain, unit: '', bar: '>= 0.99' });
  const p = (share) => waits[Math.floor(waits.length * share)];
  rows.push({ what: '32 callers: p99 over p50 of the wait', value: p(0.99) / p(0.5), unit: 'x', bar: '<= 2' });
  rows.push({ what: '32 callers: commands a turn', value: sent / total, unit: '', bar: '<= 2.1' });
}

async function herd() {
  let from = 0;
  await contend({ loops: 125, ms: 60_000, once: true }, () => (from = performance.now()));
  rows.push({ what: '500 callers, one turn each', value: (performance.now() - from) / 1000, unit: 's' });
}

async function contend(order, started = () => undefined) {
  const children = Array.from({ length: PROCESSES }, () => fork(CONTENDER, { execArgv: [] }));
  for (const child of children) child.send({ url: server.url, ...order });
  await Promise.all(children.map((child) => once(child, 'message')));
  const answers = children.map((child) => once(child, 'message'));
  started();
  for (const child of children) child.send('go');
  return (await Promise.all(answers)).flatMap(([turns]) => turns);
}

async function held() {
  const COUNT = 10_000;
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const all = [];
  for (let i = 0; i < COUNT; i += 500)
    all.push(...(await Promise.all(Array.from({ length: 500 }, (_, j) => locks.acquire(`held ${i + j}`)))));
  globalThis.gc?.();
  const heap = (process.memoryUsage().heapUsed - before) / COUNT / 1024;
  const cpu = process.cpuUsage();
  const from = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  const { user, system } = process.cpuUsage(cpu);
  rows.push({
    what: '10,000 held: CPU of one core for renewal',
    value: (user + system) / 10 / (performance.now() - from),
    unit: '%',
    bar: '<= 3',
  });
  if (globalThis.gc) rows.push({ what: '10,000 held: heap of each', value: heap, unit: 'KB', bar: '<= 1.5' });
  await Promise.all(all.map((lock) => lock.release()));
}

/** Microseconds of CPU the server has used. */
function cpuOfServer() {
  const [user, system] = readFileSync(`/proc/${server.pid}/stat`, 'utf8')
    .split(') ')[1]
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) * 10_000;
}

/** Scripts that clients sent, which is all that the lock sends. */
async function commandsSent() {
  const stats = await plain.info('commandstats');
  const calls = (name) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  return calls('evalsha') + calls('eval');
}

async function roundTrip() {
  const times = [];
  for (let i = 0; i < 500; i++) {
    const from = performance.now();
    await plain.ping();
    times.push(performance.now() - from);
  }
  return median(times);
}
