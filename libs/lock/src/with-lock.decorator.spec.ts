import { Controller, Get, Injectable, Module, Scope } from '@nestjs/common';
import { ModuleRef, NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RedisModule } from '@yuxi/redis';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { LockOptionsError, LockService, WithLock } from './index.js';
import { captureLog, Guarded, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';

const guarded = new Guarded();

@Injectable()
class Indexer {
  constructor(readonly locks: LockService) {}

  @WithLock(([db, file]: [string, string]) => `index_${db}_${file}`, { ttl: '5s' })
  async index(db: string, file: string, result = 'done'): Promise<string> {
    await guarded.use();
    return `${db}/${file} ${result} ${this.locks.current()?.names.join()}`;
  }

  @WithLock(([id]: [string]) => `skip_${id}`, { wait: false, onBusy: 'skip' })
  async skip(id: string): Promise<string | undefined> {
    await guarded.use(50);
    return id;
  }

  @WithLock(() => 'refuse', { wait: false })
  async refuse(): Promise<void> {
    await guarded.use(50);
  }

  @WithLock(() => 'self')
  async outer(): Promise<string> {
    return this.inner();
  }

  @WithLock(() => 'self')
  async inner(): Promise<string> {
    return this.locks.current()!.names.join();
  }

  @WithLock(([key]: [string]) => key)
  async named(key: string): Promise<string> {
    return key;
  }
}

@Injectable()
class Special extends Indexer {
  @WithLock(([db]: [string]) => `db_${db}`)
  override async index(db: string, file: string): Promise<string> {
    return `special ${await super.index(db, file)} in ${this.locks.current()?.names.join()}`;
  }
}

@Injectable({ scope: Scope.REQUEST })
class PerRequest {
  @WithLock(() => 'request')
  async run(): Promise<string> {
    return 'ran';
  }
}

@Controller('kb')
class KbController {
  @Get('run')
  @WithLock(() => 'controller')
  async run(first: string, second: string): Promise<string> {
    return `${first}${second}`;
  }
}

async function asyncMethod(): Promise<void> {}

function declare(target: object, value: unknown, o = {}): void {
  WithLock(() => 'x', o)(target, 'run', { value } as TypedPropertyDescriptor<() => Promise<void>>);
}

describe('@WithLock', () => {
  let server: RedisServer;
  let a: Replica;
  let b: Replica;

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    a = await replica({ url: server.url }, {}, [Indexer, Special, PerRequest, KbController]);
    b = await replica({ url: server.url }, {}, [Indexer]);
  });
  afterAll(async () => {
    await a.app.close();
    await b.app.close();
    await server.stop();
  });

  it('runs the method exclusively over all replicas, with its arguments and result', async () => {
    const calls = [a, b, a, b].map((one) => one.app.get(Indexer).index('kb', '1'));
    expect(await Promise.all(calls)).toEqual(Array(4).fill('kb/1 done index_kb_1'));
    expect(guarded.overlaps).toBe(0);
  });

  it('skips or throws when busy', async () => {
    const [one, two] = await Promise.all([a.app.get(Indexer).skip('x'), a.app.get(Indexer).skip('x')]);
    expect([one, two]).toEqual(['x', undefined]);
    const results = await Promise.allSettled([a.app.get(Indexer).refuse(), b.app.get(Indexer).refuse()]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('works for self-calls, subclasses that call super, request-scoped providers and controllers', async () => {
    expect(await a.app.get(Indexer).outer()).toBe('self');
    expect(await a.app.get(Special).index('kb', '2')).toBe('special kb/2 done index_kb_2 in db_kb');
    expect(await (await a.app.get(ModuleRef).resolve(PerRequest, undefined, { strict: false })).run()).toBe('ran');
    expect(await a.app.get(KbController).run('a', 'b')).toBe('ab');
  });

  it('keeps name, length and metadata', () => {
    const method = Object.getOwnPropertyDescriptor(KbController.prototype, 'run')!.value as KbController['run'];
    expect([method.name, method.length]).toEqual(['run', 2]);
    expect(Reflect.getMetadata('path', method)).toBe('run');
  });

  it('stops the start when LockModule is missing', async () => {
    @Module({ imports: [RedisModule.forRoot()], providers: [PerRequest, KbController] })
    class Forgetful {}
    await expect(NestFactory.createApplicationContext(Forgetful, { abortOnError: false })).rejects.toThrow(
      /LockService/,
    );
  });

  it('refuses invalid names at the call, and everything else at the declaration', async () => {
    await expect(a.app.get(Indexer).named('')).rejects.toThrow(/@WithLock on Indexer\.named/);
    await expect(a.app.get(Indexer).named(undefined as unknown as string)).rejects.toBeInstanceOf(LockOptionsError);
    expect(() => declare({}, asyncMethod, { ttl: Number.NaN })).toThrow(/ttl must be/);
    expect(() => declare({}, asyncMethod, { onBusy: 'wait' })).toThrow(/onBusy must be/);
    expect(() => declare({}, undefined)).toThrow(LockOptionsError);
    expect(() => declare(KbController, asyncMethod)).toThrow(LockOptionsError);
    expect(() => declare({}, async function* () {})).toThrow(LockOptionsError);
    await expect(new Indexer(a.locks).named('x')).rejects.toThrow(/made by Nest/);
  });
});
