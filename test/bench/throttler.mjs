// Compares the limits with a script that only counts, and with other limiters, in interleaved rounds.
// npm run bench -- throttler [--json] [--check] [--rounds N]
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { startRedis } from '@yuxi/testing';
import { cpuOf, median } from './measure.mjs';
import { report } from './report.mjs';
import { http } from './throttler/http.mjs';
import { openLimits } from './throttler/ours.mjs';
import { availablePeers, installPeers, openPeer } from './throttler/peers.mjs';

const options = process.argv.slice(2);
if (options.includes('--help')) {
  console.log('Usage: npm run bench -- throttler [--json] [--check] [--rounds N]');
  process.exit(0);
}
const rounds = Number(options[options.indexOf('--rounds') + 1]) || 5;
/** The ioredis of @yuxi/redis. The peers use their own version. */
const { Redis } = createRequire(import.meta.resolve('@yuxi/redis'))('ioredis');
const COUNT = "return redis.call('INCR', KEYS[1])";
const CLIENTS = 20_000;
const SLICE = 700;
const NEST_LAB = '@nest-lab/throttler-storage-redis';

const MINUTE = 60_000;
const ONE = [{ name: 'api', limit: 100, windowMs: MINUTE }];
const THREE = [
  { name: 'sec', limit: 20, windowMs: 1000 },
  { name: 'min', limit: 100, windowMs: MINUTE },
  { name: 'day', limit: 10_000, windowMs: 1440 * MINUTE },
];
const MANY = { name: 'many', limit: 1000, windowMs: MINUTE };
const FULL = { name: 'full', limit: 10, windowMs: 60 * MINUTE };
const policies = [...ONE, ...THREE, MANY, FULL].map(({ name, limit, windowMs }) => ({ name, limit, window: windowMs }));

const rows = [];
const row = (what, value, unit, bar) => rows.push({ what, value, unit, bar });

installPeers();
const peers = availablePeers();
const server = await startRedis();
const admin = new Redis(server.url);
const { app, limiter, storage } = await openLimits(server.url, policies);
const closing = [];
try {
  for (const width of [1, 64]) await oneLimit(width);
  for (const width of [1, 64]) await threeLimits(width);
  await refused();
  await http({ server, rounds, peers, row });
} finally {
  for (const close of closing) close();
  admin.disconnect();
  await app.close();
  await server.stop();
}
report('throttler', rows, options);
process.exit(0);

/** Client addresses, a different one for each request. */
function* addresses() {
  for (let i = 0; ; i = (i + 1) % CLIENTS) yield `10.${i >> 12}.${(i >> 6) & 63}.${i & 63}`;
}

async function raw() {
  const client = new Redis(server.url);
  closing.push(() => client.disconnect());
  const sha = await client.script('LOAD', COUNT);
  return (key) => client.evalsha(sha, 1, `yuxi:limit:{raw:${key}}`);
}

function peer(name, limits) {
  const { ask, close } = openPeer(name, server.url, limits);
  closing.push(close);
  return ask;
}

function consume(limits) {
  const names = limits.map(({ name }) => name);
  return async (key) => (await limiter.consume(names.map((policy) => ({ policy, key })))).allowed;
}

function increment({ name, limit, windowMs }) {
  return async (key) => !(await storage.increment(key, windowMs, limit, 0, name)).isBlocked;
}

async function oneLimit(width) {
  const systems = {
    'raw EVALSHA INCR': await raw(),
    ThrottlerStorageRedis: increment(ONE[0]),
    LimiterService: consume(ONE),
    'LimiterService, limit 1000': consume([MANY]),
    ...Object.fromEntries(peers.map((name) => [name, peer(name, ONE)])),
  };
  const results = await interleaved(systems, width);
  const what = `one limit, ${width} in flight`;
  const [rawName] = Object.keys(systems);
  const bestPeer = (round) => Math.max(...peers.map((name) => results[name][round].rate));
  for (const [name, slices] of Object.entries(results)) {
    const ours = width === 64 && !name.startsWith('raw') && !peers.includes(name);
    rowsOf(what, name, slices);
    row(
      `${what}, ${name}: rate over raw`,
      median(slices.map(({ rate }, i) => rate / results[rawName][i].rate)),
      'x',
      ours ? '>= 0.85' : undefined,
    );
    if (ours && peers.length > 0)
      row(
        `${what}, ${name}: rate over the best peer`,
        median(slices.map(({ rate }, i) => rate / bestPeer(i))),
        'x',
        '>= 1',
      );
  }
  row(
    `${what}, ThrottlerStorageRedis: bytes sent, at most`,
    median(results['ThrottlerStorageRedis'].map(({ bytes }) => bytes)),
    'B',
    '<= 155',
  );
}

async function threeLimits(width) {
  const systems = {
    LimiterService: consume(THREE),
    ...Object.fromEntries(peers.map((name) => [name, peer(name, THREE)])),
  };
  const results = await interleaved(systems, width);
  const what = `three limits, ${width} in flight`;
  for (const [name, slices] of Object.entries(results)) rowsOf(what, name, slices);
  if (results[NEST_LAB])
    row(
      `${what}, LimiterService: rate over three calls of ${NEST_LAB}`,
      median(results.LimiterService.map(({ rate }, i) => rate / results[NEST_LAB][i].rate)),
      'x',
      width === 64 ? '>= 1.8' : undefined,
    );
  row(
    `${what}, LimiterService: bytes sent, at most`,
    median(results.LimiterService.map(({ bytes }) => bytes)),
    'B',
    '<= 205',
  );
}

/** One client that is over its limit and continues to send requests. */
async function refused() {
  const names = peers.filter((name) => name !== 'rate-limit-redis');
  const systems = {
    ThrottlerStorageRedis: increment(FULL),
    LimiterService: consume([FULL]),
    ...Object.fromEntries(names.map((name) => [name, peer(name, [FULL])])),
  };
  for (const ask of Object.values(systems)) for (let i = 0; i < 30; i++) await ask('10.9.9.9');
  const results = await interleaved(systems, 1, () => '10.9.9.9');
  for (const [name, slices] of Object.entries(results))
    row(
      `one client over its limit, ${name}: decisions`,
      median(slices.map(({ rate }) => rate)),
      '/s',
      name in { ThrottlerStorageRedis: 1, LimiterService: 1 } ? '>= 1000000' : undefined,
    );
}

async function interleaved(systems, width, keyOf) {
  const results = Object.fromEntries(Object.keys(systems).map((name) => [name, []]));
  const keys = addresses();
  const next = keyOf ?? (() => keys.next().value);
  // The first round is a warm-up for the compiler.
  for (let round = 0; round <= rounds; round++)
    for (const [name, ask] of Object.entries(systems)) {
      const result = await slice(ask, width, next);
      if (round > 0) results[name].push(result);
    }
  return results;
}

function rowsOf(what, name, slices) {
  const of = (field) => median(slices.map((each) => each[field]));
  row(`${what}, ${name}: decisions`, of('rate'), '/s');
  row(`${what}, ${name}: CPU of the client`, of('client'), 'us');
  row(`${what}, ${name}: CPU of the server`, of('server'), 'us');
  row(`${what}, ${name}: scripts a decision`, of('scripts'), '');
  row(`${what}, ${name}: bytes sent a decision`, of('bytes'), 'B');
}

async function slice(ask, width, next) {
  const before = { ...(await traffic()), server: cpuOf(server.pid), cpu: process.cpuUsage() };
  const from = performance.now();
  let decisions = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (; performance.now() - from < SLICE; decisions++) await ask(next());
    }),
  );
  const seconds = (performance.now() - from) / 1000;
  const { user, system } = process.cpuUsage(before.cpu);
  const redis = (cpuOf(server.pid) - before.server) / decisions;
  const after = await traffic();
  return {
    rate: decisions / seconds,
    client: (user + system) / decisions,
    server: redis,
    scripts: (after.scripts - before.scripts) / decisions,
    bytes: (after.bytes - before.bytes) / decisions,
  };
}

/** Bytes that the server has read, and scripts that clients have sent. */
async function traffic() {
  const [stats, commands] = await Promise.all([admin.info('stats'), admin.info('commandstats')]);
  const calls = (name) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(commands)?.[1] ?? 0);
  const bytes = Number(/total_net_input_bytes:(\d+)/.exec(stats)[1]);
  return { bytes, scripts: calls('evalsha') + calls('eval') };
}
