// Compares the embedding cache with raw commands for the same bytes, and with other caches, in interleaved rounds. Batches of 64 vectors
// of 1,024 numbers. npm run bench -- cache [--json] [--check] [--rounds N]
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EmbeddingCache, EmbeddingCacheModule, encode } from '@yuxi/cache';
import { RedisModule } from '@yuxi/redis';
import { seededRandom, startProxy, startRedis } from '@yuxi/testing';
import { installPeersIn } from './install-peers.mjs';
import { openPeers } from './cache/peers.mjs';
import { median } from './measure.mjs';
import { report } from './report.mjs';

const options = process.argv.slice(2);
if (options.includes('--help')) {
  console.log('Usage: npm run bench -- cache [--json] [--check] [--rounds N]');
  process.exit(0);
}
const ROUNDS = Number(options[options.indexOf('--rounds') + 1]) || 60;
/** Rounds before the measurement, so that all contenders run compiled code. */
const WARM_UP = 100;
const BATCH = 64;
const DIMENSIONS = 1024;
const { Redis } = createRequire(import.meta.resolve('@yuxi/redis'))('ioredis');

const random = seededRandom(3);
const vectors = Array.from({ length: BATCH }, () => {
  const vector = Float32Array.from({ length: DIMENSIONS }, () => random() - 0.5);
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / norm);
});
const texts = vectors.map((_, i) => `text ${i} `.repeat(20));
const of = new Map(texts.map((text, i) => [text, vectors[i]]));
const model = {
  endpoint: 'https://bench.example.com/v1',
  model: 'bench',
  dimensions: DIMENSIONS,
  embed: async (missing) => ({ vectors: missing.map((text) => of.get(text) ?? vectors[0]) }),
};

const rows = [];
const row = (what, value, unit, bar) => rows.push({ what, value, unit, bar });
const closing = [];

function App() {}
Module({})(App);

async function open(url, cache = {}) {
  const imports = [RedisModule.forRoot({ url }), EmbeddingCacheModule.forRoot(cache)];
  const app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: false });
  closing.push(() => app.close());
  return app.get(EmbeddingCache);
}

installPeersIn(new URL('./cache/', import.meta.url).pathname, 'cache');
const server = await startRedis();
const admin = new Redis(server.url);
closing.push(() => admin.disconnect());
try {
  await gets();
  await sizes();
  await slow();
} finally {
  for (const close of closing.toReversed()) await close();
  await server.stop();
}
report('cache', rows, options);
process.exit(0);

async function gets() {
  const second = await open(server.url, { memory: 0 });
  const first = await open(server.url);
  await second.embedMany(model, texts);
  await first.embedMany(model, texts);
  const raw = texts.map((_, i) => `raw:${i}`);
  await admin.mset(raw.flatMap((key, i) => [key, encode({ vector: vectors[i], tokens: 0 }, 'float16')]));
  const peers = await openPeers(server.url, texts, vectors);
  closing.push(...peers.map((peer) => peer.close));
  const contenders = {
    'raw MGETBUFFER of the same bytes': () => admin.mgetBuffer(raw),
    'ours, from Redis': () => second.embedMany(model, texts),
    'ours, from memory': () => first.embedMany(model, texts),
    ...Object.fromEntries(peers.map(({ name, get }) => [name, get])),
  };
  const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
  for (let round = -WARM_UP; round < ROUNDS; round++)
    for (const [name, get] of Object.entries(contenders)) {
      const start = performance.now();
      const got = await get();
      if (round >= 0) times[name].push(performance.now() - start);
      if (round === -WARM_UP && (got.length !== BATCH || !got.every(Boolean)))
        throw new Error(`${name} returned an incomplete batch`);
    }
  const p50 = Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]));
  for (const [name, value] of Object.entries(p50))
    row(`get of ${BATCH}: ${name}`, value, 'ms', name === 'ours, from memory' ? '<= 0.2' : undefined);
  row(
    'ours from Redis, of the raw command',
    p50['ours, from Redis'] / p50['raw MGETBUFFER of the same bytes'],
    'x',
    '<= 2',
  );
  for (const { name } of peers)
    row(`${name}, compared with ours from Redis`, p50[name] / p50['ours, from Redis'], 'x', '>= 15');
}

async function sizes() {
  const keys = await admin.keys('yuxi:emb:*');
  const bytes = await Promise.all(keys.map((key) => admin.memory('USAGE', key)));
  row('bytes of a vector in Redis', Math.max(...bytes), 'B', '<= 2800');
  const json = texts.map((_, i) => `json:${i}`);
  await admin.mset(json.flatMap((key, i) => [key, JSON.stringify(Array.from(vectors[i]))]));
  row('the same as JSON', Math.max(...(await Promise.all(json.map((key) => admin.memory('USAGE', key))))), 'B');
  const again = await (await open(server.url, { memory: 0 })).embedMany(model, texts);
  const cosines = again.map((vector, i) => {
    const dot = vector.reduce((sum, value, k) => sum + value * vectors[i][k], 0);
    return dot / Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  });
  row('least cosine of a vector that was in Redis', Math.min(...cosines) * 10_000, 'e-4', '>= 9999');
}

/** The time that a Redis with 500 ms latency adds to a batch that must be computed. */
async function slow() {
  const proxy = await startProxy({ host: server.host, port: server.port });
  closing.push(() => proxy.stop());
  const cache = await open(`redis://127.0.0.1:${proxy.port}`, { memory: 0 });
  await cache.embedMany(model, ['warm']);
  proxy.latency(250);
  const times = [];
  for (let i = 0; i < 8; i++) {
    const start = performance.now();
    await cache.embedMany({ ...model, embed: async (missing) => ({ vectors: missing.map(() => vectors[0]) }) }, [
      `slow ${i}`,
    ]);
    times.push(performance.now() - start);
  }
  row('batch with a Redis that takes 500 ms: median', median(times), 'ms');
  row('batch with a Redis that takes 500 ms: worst', Math.max(...times), 'ms', '<= 50');
}
