import {
  Controller,
  Get,
  Header,
  HttpCode,
  Injectable,
  Module,
  Param,
  Scope,
  SetMetadata,
  type Type,
} from '@nestjs/common';
import { ModuleRef, NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { around } from '@yuxi/core';
import { RedisModule } from '@yuxi/redis';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { LockModule, LockService, WithLock } from './index.js';
import { captureLog, Guarded, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';

const guarded = new Guarded();
/** The current lock as the methods of an application saw it. */
const seen: string[] = [];

/** Like the decorator of another library: records when the method begins and ends. */
function Noted(list: string[]) {
  return (_target: object, _property: string | symbol, descriptor: PropertyDescriptor): void =>
    around(descriptor, async (_self, proceed) => {
      list.push('in');
      const result = await proceed();
      list.push('out');
      return result;
    });
}

const outside: string[] = [];
const inside: string[] = [];

@Injectable()
class Service {
  constructor(readonly locks: LockService) {}

  @WithLock(() => 'shared')
  async run(): Promise<string | undefined> {
    await guarded.use();
    return this.locks.current()?.token;
  }

  @Noted(outside)
  @WithLock(([id]: [string]) => `stacked_${id}`, { wait: false, onBusy: 'skip' })
  @SetMetadata('below', 1)
  async above(id: string, times: number): Promise<string | undefined> {
    await guarded.use();
    return `${id}${times}`;
  }

  @SetMetadata('above', 1)
  @WithLock(([id]: [string]) => `stacked_${id}`, { wait: false, onBusy: 'skip' })
  @Noted(inside)
  async below(id: string, times: number): Promise<string | undefined> {
    await guarded.use();
    return `${id}${times}`;
  }

  @WithLock(([first]: [string]) => first)
  @WithLock(([, second]: [string, string]) => second)
  async both(first: string, second: string): Promise<boolean[]> {
    const states = await Promise.all([first, second].map((name) => this.locks.inspect(name)));
    return states.map(({ held }) => held);
  }
}

/** An override without a decorator: the one of the parent applies when it is called. */
@Injectable()
class Quiet extends Service {
  override async run(): Promise<string | undefined> {
    seen.push(`before ${this.locks.current()?.names.join()}`);
    const token = await super.run();
    seen.push(`after ${this.locks.current()?.names.join()}`);
    return token;
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Transient extends Service {}

@Controller({ path: 'kb', scope: Scope.REQUEST })
class PerRequestController {
  constructor(readonly locks: LockService) {}

  @Get('above/:id')
  @HttpCode(202)
  @WithLock(([id]: [string]) => `kb_${id}`)
  @Header('x-kb', 'above')
  async above(@Param('id') id: string): Promise<{ id: string; names: readonly string[] }> {
    await guarded.use();
    return { id, names: this.locks.current()!.names };
  }

  @WithLock(([id]: [string]) => `kb_${id}`)
  @Get('below/:id')
  @HttpCode(202)
  @Header('x-kb', 'below')
  async below(@Param('id') id: string): Promise<{ id: string; names: readonly string[] }> {
    await guarded.use();
    return { id, names: this.locks.current()!.names };
  }
}

function methodOf<T>(type: Type<T>, name: keyof T): (...args: never[]) => unknown {
  return Object.getOwnPropertyDescriptor(type.prototype, name)!.value as (...args: never[]) => unknown;
}

describe('@WithLock in an application', () => {
  const servers: RedisServer[] = [];
  let a: Replica;
  let b: Replica;

  beforeAll(async () => {
    captureLog();
    servers.push(await startRedis(), await startRedis());
    [a, b] = (await Promise.all(servers.map(({ url }) => replica({ url }, {}, [Service, Quiet, Transient])))) as [
      Replica,
      Replica,
    ];
  });
  afterAll(async () => {
    await Promise.all([a, b].map(({ app }) => app.close()));
    await Promise.all(servers.map((server) => server.stop()));
  });

  it('works for every instance of a transient provider', async () => {
    const resolve = () => a.app.get(ModuleRef).resolve(Transient, undefined, { strict: false });
    const [one, two] = await Promise.all([resolve(), resolve()]);
    expect(one).not.toBe(two);
    const before = guarded.overlaps;
    const tokens = await Promise.all([one.run(), two.run(), a.app.get(Service).run()]);
    expect(new Set(tokens).size).toBe(3);
    expect(guarded.overlaps).toBe(before);
  });

  it('holds the lock in a subclass from its call of super', async () => {
    expect(await a.app.get(Quiet).run()).toEqual(expect.any(String));
    expect(seen).toEqual(['before undefined', 'after undefined']);
  });

  it('uses the locks of the application that made the instance', async () => {
    const held = await b.locks.acquire('shared');
    // Another Redis: a lock that is held there is free here.
    const token = await a.app.get(Service).run();
    expect(token).not.toBe(held.token);
    const waiting = b.app.get(Service).run();
    expect(await b.locks.tryAcquire('shared')).toBeNull();
    expect(await held.release()).toBe('handed-off');
    expect(await waiting).toEqual(expect.any(String));
    // Another application on the same Redis can start and stop.
    const c = await replica({ url: servers[0]!.url }, {}, [Service]);
    await c.app.get(Service).run();
    await c.app.close();
    expect(await a.app.get(Service).run()).toEqual(expect.any(String));
  });

  it('wraps the decorators below it, and those above wrap it', async () => {
    const service = a.app.get(Service);
    const above = await Promise.all([service.above('x', 1), service.above('x', 2)]);
    expect(above.filter((result) => result === undefined)).toHaveLength(1);
    expect(outside.sort()).toEqual(['in', 'in', 'out', 'out']);
    const below = await Promise.all([service.below('x', 1), service.below('x', 2)]);
    expect(below.filter((result) => result === undefined)).toHaveLength(1);
    expect(inside).toEqual(['in', 'out']);
  });

  it('keeps name, length and metadata of both', () => {
    const [above, below] = [methodOf(Service, 'above'), methodOf(Service, 'below')];
    expect([above.name, above.length, below.name, below.length]).toEqual(['above', 2, 'below', 2]);
    expect(Reflect.getMetadata('below', above)).toBe(1);
    expect(Reflect.getMetadata('above', below)).toBe(1);
  });

  it('can be used twice on one method', async () => {
    expect(await a.app.get(Service).both('one', 'two')).toEqual([true, true]);
    expect(await a.locks.list()).toEqual([]);
  });

  it('runs requests one after the other, in any order of decorators', async () => {
    @Module({
      imports: [RedisModule.forRoot({ url: servers[0]!.url }), LockModule.forRoot()],
      controllers: [PerRequestController],
    })
    class Web {}
    const web = await NestFactory.create<NestFastifyApplication>(Web, new FastifyAdapter());
    try {
      await web.init();
      await web.getHttpAdapter().getInstance().ready();
      const before = guarded.overlaps;
      const urls = ['/kb/above/1', '/kb/below/1', '/kb/above/1', '/kb/below/1'];
      const answers = await Promise.all(urls.map((url) => web.inject({ method: 'GET', url })));
      expect(answers.map(({ statusCode, headers }) => `${statusCode} ${String(headers['x-kb'])}`)).toEqual(
        urls.map((url) => `202 ${url.split('/')[2]}`),
      );
      for (const answer of answers) expect(answer.json()).toEqual({ id: '1', names: ['kb_1'] });
      expect(guarded.overlaps).toBe(before);
    } finally {
      await web.close();
    }
  });
});
