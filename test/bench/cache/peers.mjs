// Other caches with the same vectors, stored as arrays of numbers as their users do.
const TTL = 3_600_000;

async function tryImport(name) {
  try {
    return await import(name);
  } catch (error) {
    console.error(`[cache] ${name} is not measured: ${error.message}`);
    return undefined;
  }
}

/** Opens and fills the installed caches. `get` reads all texts in one call when the cache can do that. */
export async function openPeers(url, texts, vectors) {
  const [keyv, keyvRedis, cacheable, bento, drivers, ioredis] = await Promise.all(
    ['keyv', '@keyv/redis', 'cacheable', 'bentocache', 'bentocache/drivers/redis', 'ioredis'].map(tryImport),
  );
  const numbers = vectors.map((vector) => Array.from(vector));
  const peers = [];
  if (keyv && keyvRedis) {
    const store = new keyv.Keyv({ store: new keyvRedis.default(url), namespace: 'keyv' });
    await store.setMany(texts.map((key, i) => ({ key, value: numbers[i], ttl: TTL })));
    peers.push({ name: 'keyv', get: () => store.getMany(texts), close: () => store.disconnect() });
  }
  if (cacheable && keyvRedis && keyv) {
    const store = new cacheable.Cacheable({
      primary: new keyv.Keyv({ store: new keyvRedis.default(url), namespace: 'cacheable' }),
    });
    await store.setMany(texts.map((key, i) => ({ key, value: numbers[i], ttl: TTL })));
    peers.push({ name: 'cacheable', get: () => store.getMany(texts), close: () => store.disconnect() });
  }
  if (bento && drivers && ioredis) {
    const connection = new ioredis.Redis(url);
    const store = new bento.BentoCache({
      default: 'redis',
      stores: { redis: bento.bentostore().useL2Layer(drivers.redisDriver({ connection })) },
    });
    for (const [i, key] of texts.entries()) await store.set({ key, value: numbers[i], ttl: TTL });
    peers.push({
      name: 'bentocache',
      get: () => Promise.all(texts.map((key) => store.get({ key }))),
      close: () => connection.disconnect(),
    });
  }
  return peers;
}
