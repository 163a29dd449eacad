import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { askRedis, freePort, type RedisServer, startProxy, startRedis, startSentinelServer } from '@yuxi/testing';
import { resolveRedisOptions } from './redis.options.js';
import { Sentinels } from './sentinels.js';

const of = (endpoints: { host: string; port: number }[], masterName = 'mymaster') =>
  new Sentinels(resolveRedisOptions({ sentinels: endpoints, sentinelName: masterName }), endpoints, masterName);
const nobody = async () => ({ host: '127.0.0.1', port: await freePort() });

describe('the Sentinels', () => {
  /** Two that could lead, and a Sentinel for each that knows nothing of the other one. */
  let servers: RedisServer[];
  let old: RedisServer;
  let young: RedisServer;
  let behind: RedisServer;
  let newest: RedisServer;

  beforeAll(async () => {
    [old, young] = await Promise.all([startRedis(), startRedis()]);
    [behind, newest] = await Promise.all([
      startSentinelServer({ masterPort: old.port, epoch: 4 }),
      startSentinelServer({ masterPort: young.port, epoch: 5 }),
    ]);
    servers = [behind, newest, old, young];
  });
  afterAll(() => Promise.all(servers?.map((each) => each.stop()) ?? []));

  it('are believed when they have heard of the last failover', async () => {
    for (const endpoints of [
      [behind, newest],
      [newest, behind],
    ])
      expect(await of(endpoints).master()).toMatchObject({ port: young.port });
    expect(await of([behind]).master()).toMatchObject({ port: old.port });
  });

  it('are asked for more than half of their answers, however many are away', async () => {
    const proxy = await startProxy(behind);
    try {
      const silent = { host: '127.0.0.1', port: proxy.port };
      proxy.blackhole();
      expect(await of([silent, newest, await nobody()]).master()).toMatchObject({ port: young.port });
    } finally {
      await proxy.stop();
    }
  });

  it('are not believed when they are behind what one of them has told before', async () => {
    const sentinels = of([behind]);
    expect(await sentinels.hear(newest)).toMatchObject({ port: young.port });
    expect(await sentinels.master()).toMatchObject({ port: young.port });
    expect(await sentinels.hear(behind)).toBeUndefined();
    expect(await sentinels.hear(await nobody())).toBeUndefined();
  });

  it.each([
    ['none knows the master', () => of([behind, newest], 'nobody'), 'unknown-master'],
    ['none is there', async () => of([await nobody(), await nobody()]), 'refused'],
    ['none has a name', () => of([{ host: 'nowhere.invalid', port: 1 }]), 'unknown-host'],
  ])('say why when %s', async (_, sentinels, reason) => {
    await expect((await sentinels()).master()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE', reason });
  });

  it('are believed alike where the number of the failover may not be asked for', async () => {
    const strict = await startSentinelServer({ masterPort: young.port, epoch: 5 });
    servers.push(strict);
    expect(await askRedis(strict, 'ACL SETUSER default -sentinel|master')).toBe('+OK\r\n');
    expect(await of([strict]).master()).toMatchObject({ port: young.port, epoch: 0 });
  });

  it('are passed over when they do not know the master', async () => {
    const other = await startSentinelServer({ masterPort: old.port, masterName: 'other' });
    servers.push(other);
    expect(await of([other, newest]).master()).toMatchObject({ port: young.port });
  });
});
