import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { REDIS_CONNECTION, type RedisClient, RedisModule } from '@yuxi/redis';
import { type ChaosProxy, eventually, type RedisServer, startProxy, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { gate } from '../../../test/support/tasks/replica.js';
import { EmbeddingCache, EmbeddingCacheModule, type EmbeddingCacheOptions, type EmbeddingModel } from './index.js';

const DIMENSIONS = 8;
/** Much more than the default of 40 ms, so that no command is given up on a busy machine. */
const LONG_BUDGET = '5s';
/** The numbers are exact as float16, so they do not change in Redis. */
const vectorOf = (text: string) =>
  Float32Array.from({ length: DIMENSIONS }, (_, i) => text.charCodeAt(i % text.length));

/** A provider that records each call. */
function provider(more: Partial<EmbeddingModel> = {}) {
  const calls: string[][] = [];
  const model: EmbeddingModel = {
    endpoint: 'http://provider',
    model: 'm',
    dimensions: DIMENSIONS,
    embed: (texts) => {
      calls.push([...texts]);
      return Promise.resolve({ vectors: texts.map(vectorOf), tokens: texts.length });
    },
    ...more,
  };
  return { model, calls };
}

describe('the cache of embeddings', () => {
  let server: RedisServer;
  let proxy: ChaosProxy;
  let direct: Redis;
  const modules = new Set<TestingModule>();

  beforeAll(async () => {
    server = await startRedis();
    proxy = await startProxy(server);
    direct = new Redis(server.url);
  });
  beforeEach(() => direct.flushall());
  afterEach(async () => {
    await Promise.all([...modules].map((module) => module.close()));
    modules.clear();
    // Delayed writes of this test must not arrive during the next one.
    proxy.cut();
    await proxy.heal();
  });
  afterAll(async () => {
    direct.disconnect();
    await proxy.stop();
    await server.stop();
  });

  /** The cache of a new replica. */
  const replica = async (options: EmbeddingCacheOptions = {}, url: string | undefined = server.url) => {
    const imports = [
      RedisModule.forRoot(url === '' ? {} : { url }),
      EmbeddingCacheModule.forRoot({ budget: LONG_BUDGET, ...options }),
    ];
    const module = await Test.createTestingModule({ imports }).compile();
    modules.add(module);
    await module.init();
    return module.get(EmbeddingCache);
  };
  const stored = (count: number) =>
    eventually(
      async () => {
        const keys = await direct.keys('yuxi:emb:*');
        expect(keys).toHaveLength(count);
        expect(keys.filter((key) => key.endsWith(':c'))).toEqual([]);
        return keys;
      },
      { describe: `${count} vectors in Redis` },
    );

  it('computes a text once, then returns it from memory, and to another replica from Redis', async () => {
    const { model, calls } = provider();
    const one = await replica();
    const texts = ['a', 'b', 'a', 'c'];
    expect(await one.embedMany(model, texts)).toEqual(texts.map(vectorOf));
    expect(await one.embedMany(model, ['c', 'b'])).toEqual(['c', 'b'].map(vectorOf));
    await stored(3);
    const two = await replica();
    expect(await two.embedMany(model, texts)).toEqual(texts.map(vectorOf));
    expect(calls).toEqual([['a', 'b', 'c']]);
    expect(await one.embedMany(model, [])).toEqual([]);
  });

  it('stores vectors in Redis with a TTL, in the type of the options', async () => {
    const { model, calls } = provider();
    await (await replica({ ttl: '1h' })).embed(model, 'a');
    const [key] = await stored(1);
    const ttl = await direct.pttl(key!);
    expect(ttl).toBeGreaterThan(0.89 * 3_600_000);
    expect(ttl).toBeLessThanOrEqual(1.1 * 3_600_000);
    const other = await replica({ type: 'int8' });
    await other.embed(model, 'a');
    expect(calls).toHaveLength(2);
    expect(await stored(2)).toContainEqual(expect.stringContaining(':int8:'));
  });

  it('computes texts that differ only in Unicode composition once, and all others apart', async () => {
    const { model, calls } = provider();
    const one = await replica();
    await one.embedMany(model, ['é', 'e\u0301', 'e', 'E', ' e']);
    expect(calls).toEqual([['é', 'e', 'E', ' e']]);
  });

  it.each([
    ['endpoint', { endpoint: 'http://other' }],
    ['model', { model: 'n' }],
    ['revision', { revision: '2' }],
    ['prefix', { prefix: 'query: ' }],
  ])('keeps vectors of another %s apart', async (_, other) => {
    const first = provider();
    const second = provider(other);
    const one = await replica();
    await one.embed(first.model, 'a');
    await one.embed(second.model, 'a');
    expect([first.calls, second.calls]).toEqual([[['a']], [['a']]]);
    await stored(2);
  });

  it('does not compute a text that another replica stored between read and claim', async () => {
    const { model, calls } = provider();
    const [one, two] = [await replica(), await replica()];
    const connection = [...modules].at(-1)!.get<RedisClient>(REDIS_CONNECTION);
    const claim = connection.set.bind(connection);
    jest.spyOn(connection, 'set').mockImplementationOnce((async (...args: Parameters<typeof claim>) => {
      await one.embed(model, 'a');
      await stored(1);
      return claim(...args);
    }) as never);
    expect(await two.embed(model, 'a')).toEqual(vectorOf('a'));
    expect(calls).toEqual([['a']]);
    // The claim is released.
    await stored(1);
  });

  it('calls the provider once when 3 replicas with 50 callers each need the same text', async () => {
    const { opened, open } = gate();
    const calls: string[][] = [];
    const { model } = provider({
      embed: async (texts) => {
        calls.push([...texts]);
        await opened;
        return { vectors: texts.map(vectorOf) };
      },
    });
    const replicas = await Promise.all([replica(), replica(), replica()]);
    const all = replicas.flatMap((each) => Array.from({ length: 50 }, () => each.embed(model, 'a')));
    setTimeout(open, 300);
    const vectors = await Promise.all(all);
    expect(vectors).toEqual(Array.from({ length: 150 }, () => vectorOf('a')));
    expect(calls).toEqual([['a']]);
  });

  it('computes a text itself when the replica that was computing it fails or ends', async () => {
    const { opened, open } = gate();
    const failing = provider({ embed: () => opened.then(() => Promise.reject(new Error('no'))) });
    const { model, calls } = provider();
    const [one, two] = await Promise.all([replica({ claim: 400 }), replica({ claim: 400 })]);
    const first = one.embed(failing.model, 'a');
    first.catch(() => undefined);
    await eventually(async () => (await direct.keys('*:c')).length > 0, { describe: 'a claim' });
    const second = two.embed(model, 'a');
    open();
    await expect(first).rejects.toThrow('no');
    expect(await second).toEqual(vectorOf('a'));
    // A replica that ended leaves only its claim.
    await one.embed(model, 'b');
    const keys = (await stored(2)).filter((key) => !key.endsWith(':c'));
    const key = keys[0]!;
    await direct.del(...keys);
    await direct.set(`${key}:c`, '1', 'PX', 300);
    const three = await replica({ claim: 400 });
    expect(await three.embedMany(model, ['a', 'b'])).toEqual(['a', 'b'].map(vectorOf));
    expect(calls.length).toBeGreaterThanOrEqual(3);
  });

  it('calls the provider in batches, rejects all callers of a text when it fails, and calls it again for the next caller', async () => {
    let broken = true;
    const sizes: number[] = [];
    const { model } = provider({
      batchSize: 2,
      embed: (texts) => {
        sizes.push(texts.length);
        return broken ? Promise.reject(new Error('busy')) : Promise.resolve({ vectors: texts.map(vectorOf) });
      },
    });
    const one = await replica();
    const both = await Promise.allSettled([one.embedMany(model, ['a', 'b', 'c']), one.embed(model, 'a')]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(sizes).toEqual([2, 1]);
    broken = false;
    expect(await one.embedMany(model, ['a', 'b', 'c'])).toEqual(['a', 'b', 'c'].map(vectorOf));
  });

  it.each<[string, (texts: readonly string[]) => (Float32Array | number[])[], string]>([
    ['too few vectors', () => [], '0 vectors for 1 texts'],
    ['another number of dimensions', () => [[1, 2]], '2 dimensions instead of 8'],
    ['numbers that are not finite', () => [Array.from({ length: DIMENSIONS }, () => Number.NaN)], 'not finite'],
  ])('refuses an answer with %s, and stores nothing', async (_, vectors, problem) => {
    const { model } = provider({ embed: (texts) => Promise.resolve({ vectors: vectors(texts) }) });
    const one = await replica();
    await expect(one.embed(model, 'a')).rejects.toMatchObject({
      code: 'EMBEDDING_ANSWER',
      message: expect.stringContaining(problem),
    });
    await stored(0);
  });

  it.each<[string, () => unknown]>([
    ['unavailable', () => proxy.refuse()],
    ['silent', () => proxy.blackhole()],
    ['slow', () => proxy.latency(500)],
  ])('computes while Redis is %s', async (_, harm) => {
    const { model, calls } = provider();
    const one = await replica({ budget: 40 }, proxy.through(server.url));
    await one.embed(model, 'before');
    await harm();
    const texts = ['a', 'b', 'c', 'd', 'e'];
    for (const text of texts) expect(await one.embed(model, text)).toEqual(vectorOf(text));
    expect(calls).toEqual([['before'], ...texts.map((text) => [text])]);
  });

  it('works without any Redis', async () => {
    const { model, calls } = provider();
    const one = await replica({}, '');
    expect(await one.embedMany(model, ['a', 'a'])).toEqual([vectorOf('a'), vectorOf('a')]);
    await one.embed(model, 'a');
    expect(calls).toEqual([['a']]);
  });

  it('computes a text again when its stored value cannot be decoded', async () => {
    const { model, calls } = provider();
    await (await replica()).embed(model, 'a');
    const [key] = await stored(1);
    await direct.set(key!, 'garbage');
    expect(await (await replica()).embed(model, 'a')).toEqual(vectorOf('a'));
    expect(calls).toHaveLength(2);
  });

  it('keeps no more bytes in memory than the option allows', async () => {
    const { model, calls } = provider();
    const one = await replica({ memory: 1000 }, '');
    await one.embedMany(model, ['a', 'b', 'c', 'd']);
    await one.embed(model, 'd');
    await one.embed(model, 'a');
    expect(calls).toEqual([['a', 'b', 'c', 'd'], ['a']]);
  });

  it.each([
    ['type', { type: 'float64' }],
    ['memory', { memory: -1 }],
    ['ttl', { ttl: 'never' }],
    ['budget', { budget: 0 }],
  ])('fails the boot for an invalid %s', async (option, options) => {
    // Without a Redis, because the connection of an application that did not start cannot be closed.
    const imports = [RedisModule.forRoot(), EmbeddingCacheModule.forRoot(options as EmbeddingCacheOptions)];
    const booting = Test.createTestingModule({ imports }).compile();
    await expect(booting).rejects.toMatchObject({ code: 'INVALID_OPTION', option });
  });

  it('refuses a model without dimensions', async () => {
    const { model } = provider({ dimensions: 0 });
    await expect((await replica()).embed(model, 'a')).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
