import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { askRedis, freePort, type RedisServer, startProxy, startRedis, startSentinelServer } from '@yuxi/testing';
import { resolveRedisOptions } from './redis.options.js';
import { Sentinels } from './sentinels.js';

const of = (endpoints: { host: string; port: number }[], masterName = 'mymaster') =>
  new Sentinels(resolveRedisOptions({ sentinels: endpoints, sentinelName: masterName }), endpoints, masterName);
const unusedEndpoint = async () => ({ host: '127.0.0.1', port: await freePort() });

describe('Sentinels', () => {
  /** Two possible masters, and one Sentinel for each, which has no record of the other. */
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

  it('name the master of the last failover', async () => {
    for (const endpoints of [
      [behind, newest],
      [newest, behind],
    ])
      expect(await of(endpoints).master()).toMatchObject({ port: young.port });
    expect(await of([behind]).master()).toMatchObject({ port: old.port });
  });

  it('answer when more than half are available, and not later', async () => {
    const proxy = await startProxy(behind);
    try {
      const silent = { host: '127.0.0.1', port: proxy.port };
      proxy.blackhole();
      expect(await of([silent, newest, await unusedEndpoint()]).master()).toMatchObject({ port: young.port });
    } finally {
      await proxy.stop();
    }
  });

  it('with an older epoch than one already adopted are ignored', async () => {
    const sentinels = of([behind]);
    expect(await sentinels.onSwitchMaster(newest)).toMatchObject({ port: young.port });
    expect(await sentinels.master()).toMatchObject({ port: young.port });
    expect(await sentinels.onSwitchMaster(behind)).toBeUndefined();
    expect(await sentinels.onSwitchMaster(await unusedEndpoint())).toBeUndefined();
  });

  it.each([
    ['none has a master of the name', () => of([behind, newest], 'unknown'), 'unknown-master'],
    ['none runs', async () => of([await unusedEndpoint(), await unusedEndpoint()]), 'refused'],
    ['no host name resolves', () => of([{ host: 'nowhere.invalid', port: 1 }]), 'unknown-host'],
  ])('give the reason when %s', async (_, sentinels, reason) => {
    await expect((await sentinels()).master()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE', reason });
  });

  it('all count alike when the account may not read the epoch', async () => {
    const strict = await startSentinelServer({ masterPort: young.port, epoch: 5 });
    servers.push(strict);
    expect(await askRedis(strict, 'ACL SETUSER default -sentinel|master')).toBe('+OK\r\n');
    expect(await of([strict]).master()).toMatchObject({ port: young.port, epoch: 0 });
  });

  it('without a master of the name are ignored', async () => {
    const other = await startSentinelServer({ masterPort: old.port, masterName: 'other' });
    servers.push(other);
    expect(await of([other, newest]).master()).toMatchObject({ port: young.port });
  });
});
