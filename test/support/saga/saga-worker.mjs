// One of several processes that run the steps of sagas. Its parent sends orders; each order gets one answer.
import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RedisModule } from '@yuxi/redis';
import { Saga, SAGA_HOOKS, sagaMigrations, SagaModule, SagaRejectedError, SagaService, SagaStep } from '@yuxi/saga';
import { StorageModule } from '@yuxi/storage';
import { Once, TASK_CHANNELS, TasksModule, tasksMigrations } from '@yuxi/tasks';
import { handleCalls } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { z } from 'zod';

function App() {}
Module({})(App);

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

const STEPS = ['a', 'b', 'c', 'd'];
const TAKE_IF = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

let app;
let register;
let tombstones = true;
let release = () => undefined;
/** While one step is stopped, the whole process is: it must not continue the saga itself. */
let gate = Promise.resolve();
const tasks = { running: 0 };
TASK_CHANNELS.start.subscribe(() => tasks.running++);
TASK_CHANNELS.end.subscribe(() => tasks.running--);

/** Effects of a step are rows, each with the key of the step in the same transaction. */
class Order {
  constructor(once) {
    this.once = once;
  }

  /** @param name of the step; `input.no` names the step that rejects, `input.unsure` how often a step fails first */
  async run(name, { saga, input, attempt, idempotencyKey }) {
    const firstRun = (await register.hincrby('begun', `${saga} ${name}`, 1)) === 1;
    if (input.no === name && !(input.onlyAgain && firstRun)) throw new SagaRejectedError('no');
    if (attempt <= (input.unsure?.[name] ?? 0)) throw new Error('not yet');
    if (input.holdsFirst === name && firstRun) await stop(`effect ${name}`);
    await this.once.run(idempotencyKey, (tx) => write(tx, saga, name, 'do'));
    return `${name} of ${saga}`;
  }

  async compensate(name, { saga, input, attempt, effectKey }) {
    if (attempt <= (input.unsure?.[`-${name}`] ?? 0)) throw new Error('not yet');
    if (tombstones) await this.once.undo(effectKey, (tx) => write(tx, saga, name, 'undo'));
    else await this.compensateIfPresent(saga, name);
  }

  /** A compensation without a tombstone: it only checks whether the effect exists. */
  async compensateIfPresent(saga, name) {
    const { rowCount } = await this.once.sql.query(
      `SELECT FROM effects WHERE saga = $1 AND step = $2 AND what = 'do'`,
      [saga, name],
    );
    if (rowCount > 0) await write(this.once.sql, saga, name, 'undo');
  }
}
const write = (sql, saga, step, what) =>
  sql.query('INSERT INTO effects (saga, step, what) VALUES ($1, $2, $3)', [saga, step, what]);

STEPS.forEach((name, order) => {
  Object.assign(Order.prototype, {
    [name](context) {
      return this.run(name, context);
    },
    [`compensate_${name}`](context) {
      return this.compensate(name, context);
    },
  });
  const options = { order, compensate: `compensate_${name}`, retry: { attempts: 5, backoff: 50 } };
  SagaStep(options)(Order.prototype, name, Object.getOwnPropertyDescriptor(Order.prototype, name));
});
Saga({ name: 'order', schema: z.record(z.string(), z.unknown()) })(Order);

/** Reports to the test that this process has stopped here, and waits until it is released. */
async function stop(place) {
  gate = new Promise((resolve) => (release = resolve));
  await register.rpush('stopped', `${place}:${process.pid}`);
  await gate;
}

const hooks = {
  async at(point, step, direction) {
    await gate;
    const place = `${point} ${step} ${direction}`;
    if (point === 'after-intent') await register.rpush('runs', `${step} ${direction} ${clock()} ${process.pid}`);
    if ((await register.eval(TAKE_IF, 1, 'armed', place)) === 1) await stop(place);
  },
};

const handlers = {
  async start({ store, redis, databaseUrl, registerUrl, tasks: tasksOptions, saga, control }) {
    tombstones = control !== 'no tombstones';
    register = new Redis(registerUrl);
    const imports = [
      RedisModule.forRoot(redis),
      StorageModule.forRoot({ databaseUrl, poolSize: 10, migrations: [...tasksMigrations, ...sagaMigrations] }),
      TasksModule.forRoot(tasksOptions),
      SagaModule.forRoot({ store, ...saga }),
    ];
    const providers = [
      { provide: Order, inject: [Once], useFactory: (once) => new Order(once) },
      { provide: SAGA_HOOKS, useValue: hooks },
    ];
    const root = { module: App, global: true, imports, providers, exports: [SAGA_HOOKS] };
    app = await NestFactory.createApplicationContext(root, { logger: ['error'] });
  },
  /** Starts sagas, with retries until each start succeeds. @returns their ids */
  begin({ sagas }) {
    const service = app.get(SagaService);
    const one = async ({ key, input }) => {
      for (;;) {
        try {
          return (await service.start('order', input, { key })).id;
        } catch {
          await pause(50);
        }
      }
    };
    return Promise.all(sagas.map(one));
  },
  /** Some of the open sagas. */
  async open() {
    const service = app.get(SagaService);
    const lists = ['running', 'compensating', 'stuck'].map((status) => service.list({ status, limit: 3 }));
    return (await Promise.all(lists)).flat().map(({ id, status, error }) => `${id} ${status} ${error ?? ''}`);
  },
  async statuses({ ids }) {
    const found = [];
    for (let at = 0; at < ids.length; at += 50)
      found.push(...(await Promise.all(ids.slice(at, at + 50).map((id) => app.get(SagaService).get(id)))));
    return found.map(({ id, status }) => [id, status]);
  },
  get: ({ id }) => app.get(SagaService).get(id),
  /** Releases the stopped step. Resolves when no task runs here. */
  async release() {
    release();
    while (tasks.running > 0) await pause(20);
  },
};

handleCalls(handlers);
