// The cost of a saga beyond the tasks that run its steps. Compares chains of four empty tasks, each of which enqueues the next one, with
// sagas of four empty steps.
//
// npm run bench -- saga [--json] [--check] [--sagas N]
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SQL_CLIENT } from '@yuxi/core';
import { RedisModule } from '@yuxi/redis';
import { Saga, sagaMigrations, SagaModule, SagaService, SagaStep } from '@yuxi/saga';
import { openStorage } from '@yuxi/storage';
import { Task, TaskQueue, TasksModule, tasksMigrations } from '@yuxi/tasks';
import { startPostgres, startRedis } from '@yuxi/testing';
import { z } from 'zod';
import { median } from './measure.mjs';
import { report } from './report.mjs';

const { Redis } = createRequire(import.meta.resolve('@yuxi/redis'))('ioredis');
const options = process.argv.slice(2);
if (options.includes('--help')) {
  console.log('Usage: npm run bench -- saga [--json] [--check] [--sagas N]');
  process.exit(0);
}
const SAGAS = Number(options.includes('--sagas') ? options[options.indexOf('--sagas') + 1] : 500);
const STEPS = 4;
const ROUNDS = 3;
const CONCURRENCY = 20;

function App() {}
Module({})(App);
function Storage() {}
Module({})(Storage);

const sagas = { ended: 0 };
const decorate = (type, name, decorator) =>
  decorator(type.prototype, name, Object.getOwnPropertyDescriptor(type.prototype, name));

class Empty {
  one() {}
  two() {}
  three() {}
  four() {
    sagas.ended++;
  }
}
['one', 'two', 'three', 'four'].forEach((name, order) => decorate(Empty, name, SagaStep({ order, compensate: false })));
Saga({ name: 'empty', schema: z.object({ n: z.int() }) })(Empty);

/** The same as tasks that enqueue the next one. A crash between two of them loses the rest of the chain. */
class Chain {
  constructor(queue) {
    this.queue = queue;
  }
  async link({ n, step }) {
    if (step === STEPS) sagas.ended++;
    else await this.queue.enqueue('link', { n, step: step + 1 });
  }
}
decorate(Chain, 'link', Task({ name: 'link', schema: z.object({ n: z.int(), step: z.int() }) }));

/** Counts the statements and transactions of the database. */
function counting(sql, counts) {
  return {
    query: (...args) => {
      counts.statements++;
      return sql.query(...args);
    },
    transaction: (body, ...rest) => {
      counts.transactions++;
      return sql.transaction((tx) => body(counting(tx, { statements: 0, transactions: 0 })), ...rest);
    },
  };
}

const rows = [];
const row = (what, value, unit, bar) => rows.push({ what, value, unit, bar });

async function allEnded(count) {
  while (sagas.ended < count) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** @param cost returns the counts so far */
async function compare(kind, modules, cost) {
  const providers = [Empty, { provide: Chain, inject: [TaskQueue], useFactory: (queue) => new Chain(queue) }];
  const tasks = TasksModule.forRoot({
    engine: kind === 'redis' ? 'streams' : 'rows',
    concurrency: CONCURRENCY,
    pollInterval: 20,
  });
  const root = { module: App, imports: [...modules, tasks, SagaModule.forRoot({ store: kind })], providers };
  const app = await NestFactory.createApplicationContext(root, { logger: ['error'] });
  const works = {
    'four tasks in a chain': (n) => app.get(TaskQueue).enqueue('link', { n, step: 1 }),
    'a saga of four steps': (n) => app.get(SagaService).start('empty', { n }),
  };
  const results = { rates: {}, costs: {} };
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, begin] of Object.entries(works)) {
      sagas.ended = 0;
      const before = await cost();
      const from = performance.now();
      await Promise.all(Array.from({ length: SAGAS }, (_, n) => begin(n)));
      await allEnded(SAGAS);
      const seconds = (performance.now() - from) / 1000;
      // The last tasks report their outcome to the queue.
      await new Promise((resolve) => setTimeout(resolve, 300));
      const after = await cost();
      (results.rates[name] ??= []).push((SAGAS * STEPS) / seconds);
      for (const key of Object.keys(after))
        ((results.costs[name] ??= {})[key] ??= []).push((after[key] - before[key]) / (SAGAS * STEPS));
    }
  await app.close();
  for (const [name, rates] of Object.entries(results.rates)) {
    row(`${kind}, ${name}: steps`, median(rates), '/s');
    for (const [key, values] of Object.entries(results.costs[name]))
      row(`${kind}, ${name}: ${key} a step`, median(values), '');
  }
  const [chain, saga] = Object.keys(works);
  for (const key of Object.keys(results.costs[saga]))
    row(
      `${kind}: ${key} of a saga's step beyond the task`,
      median(results.costs[saga][key]) - median(results.costs[chain][key]),
      '',
    );
}

const postgres = await startPostgres();
const redis = await startRedis();
try {
  const { url: databaseUrl } = await postgres.createDatabase();
  const counts = { statements: 0, transactions: 0 };
  const driver = await openStorage({ databaseUrl, migrations: [...tasksMigrations, ...sagaMigrations] });
  const sql = { provide: SQL_CLIENT, useValue: counting(driver.sql, counts) };
  const storage = { module: Storage, global: true, providers: [sql], exports: [SQL_CLIENT] };
  await compare('postgres', [storage], () => Promise.resolve({ ...counts }));
  await driver.close();
  const admin = new Redis(redis.url);
  await compare('redis', [RedisModule.forRoot({ url: redis.url })], async () => {
    const stats = await admin.info('commandstats');
    return { scripts: Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0) };
  });
  admin.disconnect();
} finally {
  await Promise.all([postgres.stop(), redis.stop()]);
}
report('saga', rows, options);
process.exit();
