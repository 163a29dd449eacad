// A process that runs tasks. It takes orders from its parent, and answers each of them once.
import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RedisModule } from '@yuxi/redis';
import { StorageModule } from '@yuxi/storage';
import { Once, Task, TaskQueue, TasksModule, tasksMigrations } from '@yuxi/tasks';
import { handleCalls } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { control as applyControl } from './tasks-controls.mjs';

function App() {}
Module({})(App);

/** CLOCK_MONOTONIC, which all processes of a machine share, milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

let app;
let register;

/** The handlers of the tests. Each start is first recorded in the register, a separate Redis. */
class Handlers {
  constructor(once) {
    this.once = once;
  }

  async hold({ n, ms }, { signal }) {
    await note(n);
    await pause(ms, undefined, { signal }).catch(() => undefined);
    await register.rpush('ended', `${n} ${clock()} ${signal.aborted ? signal.reason.code : 'ok'}`);
  }

  /** Fails permanently in a process that was suspended meanwhile. A second run takes longer, so that the first one ends before it. */
  async late({ n, ms }) {
    const from = clock();
    const runs = await note(n);
    const whole = runs > 1 ? 5 * ms : ms;
    await pause(whole);
    // The suspension lasts at least for a lease of 2 s, which began at about the same time as the run.
    const suspended = clock() - from > whole + 500;
    await register.rpush('ended', `${n} ${clock()} ${suspended ? 'late' : 'ok'}`);
    if (suspended) throw Object.assign(new Error('too late'), { retryable: false });
  }

  /** Runs one at a time, so that other tasks wait in the process. */
  serial(task, context) {
    return this.hold(task, context);
  }

  async block({ n, ms }) {
    await note(n);
    const end = clock() + ms;
    while (clock() < end);
  }

  /** One effect in PostgreSQL, then perhaps a failure or the end of the process. */
  async effect({ n, ms = 0, fails = false, poison = false }, { id }) {
    await note(n);
    if (poison) process.kill(process.pid, 'SIGKILL');
    if (ms > 0) await pause(ms);
    await this.once.run(id, (tx) => tx.query('INSERT INTO effects (n) VALUES ($1)', [n]));
    if (fails) throw new Error(`task ${n} always fails`);
  }
}
const schema = z.object({
  n: z.int(),
  ms: z.number().optional(),
  fails: z.boolean().optional(),
  poison: z.boolean().optional(),
});
const handle = (name, more) => {
  const descriptor = Object.getOwnPropertyDescriptor(Handlers.prototype, name);
  Task({ name, schema, retry: { attempts: 2, backoff: 50 }, ...more })(Handlers.prototype, name, descriptor);
};
for (const [name, more] of [['hold'], ['late'], ['serial', { concurrency: 1 }], ['block'], ['effect']])
  handle(name, more);

/** The same task in a queue of its own. */
function addEffect(queue) {
  const name = `effect_${queue}`;
  const methods = {
    [name](task, context) {
      return this.effect(task, context);
    },
  };
  Object.assign(Handlers.prototype, methods);
  handle(name, { queue });
}

const note = (n) => register.rpush('starts', `${n} ${clock()} ${process.pid}`);

const handlers = {
  /** @param queues that have a task `effect_<queue>` */
  async start({ redis, databaseUrl, registerUrl, options, queues = [], control }) {
    if (control) await applyControl(control);
    for (const queue of queues) addEffect(queue);
    register = new Redis(registerUrl);
    const imports = [RedisModule.forRoot(redis), TasksModule.forRoot({ engine: 'streams', ...options })];
    if (databaseUrl) imports.push(StorageModule.forRoot({ databaseUrl, poolSize: 5, migrations: tasksMigrations }));
    const providers = [{ provide: Handlers, inject: [Once], useFactory: (once) => new Handlers(once) }];
    app = await NestFactory.createApplicationContext({ module: App, imports, providers }, { logger: ['error'] });
  },
  /** Enqueues tasks with given ids. Repeats each enqueue until it succeeds. */
  async enqueue({ name, tasks }) {
    const queue = app.get(TaskQueue);
    const one = async ({ id, ...payload }) => {
      for (;;) {
        try {
          return await queue.enqueue(name, payload, { id });
        } catch (error) {
          if (!error.retryable) throw error;
          await pause(20);
        }
      }
    };
    await Promise.all(tasks.map(one));
  },
  /** Shuts the application down. @returns milliseconds that the shutdown took */
  async close() {
    const from = clock();
    await app.close();
    return clock() - from;
  },
};

handleCalls(handlers);
