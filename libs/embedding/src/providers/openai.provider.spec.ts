import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type EmbeddingServer, type ProviderFault, startEmbeddingServer } from '@yuxi/testing';
import { ModelHosts } from '../outbound/model-hosts.js';
import { publicLookup } from '../outbound/public-addresses.js';
import type { OpenAiSpec } from '../model/model-spec.js';
import { OpenAiProvider } from './openai.provider.js';

const KEY = 'sk-very-secret';

const variable = (name: string) => (name === 'YUXI_MODEL_KEY_TEST' ? KEY : undefined);

describe('OpenAiProvider', () => {
  let server: EmbeddingServer;
  let hosts: ModelHosts;
  const open: OpenAiProvider[] = [];

  beforeAll(async () => {
    server = await startEmbeddingServer();
    hosts = ModelHosts.parse(server.host).hosts;
  });
  beforeEach(() => server.reset());
  afterEach(async () => {
    await Promise.all(open.splice(0).map((provider) => provider.close()));
  });
  afterAll(async () => {
    await server.stop();
  });

  const specOf = (changes: Partial<OpenAiSpec> = {}): OpenAiSpec => ({
    provider: 'openai',
    baseUrl: server.url,
    model: 'm',
    dimensions: 32,
    shorten: false,
    apiKey: 'env:YUXI_MODEL_KEY_TEST',
    queryPrefix: '',
    documentPrefix: '',
    batchSize: 64,
    concurrency: 4,
    timeoutMs: 5000,
    retries: 2,
    ...changes,
  });
  const provider = (changes?: Partial<OpenAiSpec>) => {
    const made = new OpenAiProvider(specOf(changes), { hosts, variable });
    open.push(made);
    return made;
  };
  const faultsOf = (...faults: (ProviderFault | undefined)[]) =>
    server.reset({ fault: (call) => faults[call - 1] ?? undefined });

  it('sends one call for a batch, with its key', async () => {
    const { vectors, tokens } = await provider().embed(['wing', 'flow of heat']);
    expect(vectors.map((vector) => vector.length)).toEqual([32, 32]);
    expect(tokens).toBe(4);
    expect(server).toMatchObject({ calls: 1, texts: ['wing', 'flow of heat'], authorization: `Bearer ${KEY}` });
    expect(server.asked).toBeUndefined();
  });

  it('reads answers in base64, and requests a length only from models that can shorten', async () => {
    const [plain] = (await provider().embed(['wing'])).vectors;
    server.reset({ base64: true });
    const [packed] = (await provider({ shorten: true }).embed(['wing'])).vectors;
    expect(Array.from(packed!)).toEqual(Array.from(plain!, Math.fround));
    expect(server.asked).toBe(32);
  });

  it.each(['error', 'reset', 'short', 'nan', 'dimensions', 'garbage'] as const)(
    'retries after the fault %s',
    async (fault) => {
      faultsOf(fault);
      expect((await provider().embed(['wing'])).vectors).toHaveLength(1);
      expect(server.calls).toBe(2);
    },
  );

  it('waits for the time in Retry-After', async () => {
    faultsOf('busy');
    const start = performance.now();
    await provider().embed(['wing']);
    expect(performance.now() - start).toBeGreaterThanOrEqual(990);
  });

  it('fails when there is no answer in time', async () => {
    faultsOf('silent', 'silent');
    await expect(provider({ timeoutMs: 100, retries: 1 }).embed(['wing'])).rejects.toMatchObject({
      code: 'EMBEDDING_PROVIDER',
      retryable: true,
      message: expect.stringContaining('no answer in time'),
    });
    expect(server.calls).toBe(2);
  });

  it.each([
    ['dimensions', 'EMBEDDING_ANSWER', 'a vector of 33 dimensions instead of 32'],
    ['short', 'EMBEDDING_ANSWER', '0 vectors for 1 texts'],
    ['error', 'EMBEDDING_PROVIDER', 'the provider answered 500: internal'],
  ] as const)('fails with the reason when the fault %s continues', async (fault, code, reason) => {
    server.reset({ fault: () => fault });
    const failure = provider({ retries: 1 }).embed(['wing']);
    await expect(failure).rejects.toMatchObject({ code, retryable: true, message: expect.stringContaining(reason) });
    expect(server.calls).toBe(2);
  });

  it('does not retry a refused call, and removes the key from the reason', async () => {
    server.reset({ fault: () => 'forbidden' });
    const error = await provider()
      .embed(['wing'])
      .catch((caught: Error) => caught);
    expect(error).toMatchObject({ code: 'EMBEDDING_PROVIDER', retryable: false });
    expect((error as Error).message).toContain('401: wrong key: Bearer ***');
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(KEY);
    expect(server.calls).toBe(1);
  });

  it('does not follow redirects', async () => {
    server.reset({ fault: () => 'redirect' });
    await expect(provider().embed(['wing'])).rejects.toMatchObject({
      message: expect.stringContaining('answered 307'),
      retryable: false,
    });
  });

  it('makes no more calls at the same time than its concurrency', async () => {
    server.reset({ delay: 20 });
    const one = provider({ concurrency: 2 });
    await Promise.all(Array.from({ length: 8 }, (_, i) => one.embed([`text ${i}`])));
    expect(server.busiest).toBe(2);
  });

  it('fails without its key, before it sends anything', async () => {
    await expect(provider({ apiKey: 'env:YUXI_MODEL_KEY_NOT_THERE' }).embed(['wing'])).rejects.toMatchObject({
      code: 'CONFIG_SECRET',
    });
    expect(server.calls).toBe(0);
  });

  it('refuses a base URL that is not allowed any more', () => {
    const other = ModelHosts.parse('models.example.com').hosts;
    expect(() => new OpenAiProvider(specOf(), { hosts: other })).toThrow(
      expect.objectContaining({ code: 'BLOCKED_ADDRESS' }),
    );
  });

  it('does not connect when its public name resolves to an address that is not public', async () => {
    const inside = publicLookup((_host, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]));
    const baseUrl = `https://models.example.com:${new URL(server.url).port}/v1`;
    const made = new OpenAiProvider(
      specOf({ baseUrl, retries: 0 }),
      { hosts: ModelHosts.parse('').hosts, variable },
      inside,
    );
    open.push(made);
    await expect(made.embed(['wing'])).rejects.toMatchObject({ code: 'BLOCKED_ADDRESS' });
    expect(server.calls).toBe(0);
  });
});
