import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freePort, type RedisServer, startRedis } from '@yuxi/testing';
import { captureLog, open, timed } from '../../../test/support/redis.fixture.js';
import { RedisUnavailableError, unavailableReason } from './redis.errors.js';

const PASSWORD = 'canary-right-7319';
const WRONG = 'canary-wrong-7319';

describe('the reason why Redis is unavailable', () => {
  let server: RedisServer;
  const log = captureLog();

  beforeAll(async () => {
    server = await startRedis({ password: PASSWORD });
  });
  afterAll(() => server.stop());

  it('differs for a wrong password, an unknown host and a refused port, and never contains the password', async () => {
    const { host, port } = server;
    const cases = {
      'wrong-password': { host, port, password: WRONG },
      'unknown-host': { host: 'no-such-host.invalid', port, password: PASSWORD },
      refused: { host, port: await freePort(), password: PASSWORD },
    };
    const messages = new Set<string>();
    for (const [reason, options] of Object.entries(cases)) {
      await using redis = open(options);
      await eventually(() => redis.availability.reason === reason, { describe: reason });
      const { error } = await timed(() => redis.client.get('yuxi:a'));
      messages.add((error as Error).message);
      const shown = JSON.stringify([error, (error as Error).cause, (error as Error).stack, options.host]);
      expect(shown).not.toContain('canary');
    }
    expect(messages.size).toBe(3);
    expect(log.join('\n')).not.toContain('canary');
    expect(log.filter((line) => line.includes('wrong-password'))).toHaveLength(1);
  });

  it('is wrong-password when no password is given', async () => {
    await using redis = open({ host: server.host, port: server.port });
    await eventually(() => redis.availability.reason === 'wrong-password');
  });

  it('is bad-db for a database that does not exist, and no other database is used', async () => {
    await using redis = open({ host: server.host, port: server.port, password: PASSWORD, db: 99 });
    await eventually(() => redis.availability.reason === 'bad-db');
    expect((await timed(() => redis.client.set('yuxi:a', 1))).error).toMatchObject({ reason: 'bad-db' });
    expect(redis.availability.state).toBe('down');
  });

  it('is oom when the memory is full, and the state is up when there is room again', async () => {
    await using redis = open({ url: server.url });
    await eventually(() => redis.availability.state === 'up');
    await redis.client.config('SET', 'maxmemory', '1mb');
    const { error } = await timed(() => redis.client.set('yuxi:a', 'x'));
    expect(error).toBeInstanceOf(RedisUnavailableError);
    expect(error).toMatchObject({ reason: 'oom' });
    expect(redis.availability).toMatchObject({ state: 'down', reason: 'oom' });
    const transaction = await timed(() => redis.client.multi().set('yuxi:a', 'x').exec());
    expect(unavailableReason(transaction.error)).toBe('oom');
    await redis.client.config('SET', 'maxmemory', '0');
    await eventually(() => redis.availability.state === 'up', { timeout: 2000 });
  });

  it('is noreplicas when too few replicas are connected', async () => {
    await using redis = open({ url: server.url });
    await eventually(() => redis.availability.state === 'up');
    await redis.client.config('SET', 'min-replicas-to-write', '1');
    expect((await timed(() => redis.client.set('yuxi:a', 1))).error).toMatchObject({ reason: 'noreplicas' });
    await redis.client.config('SET', 'min-replicas-to-write', '0');
    await eventually(() => redis.availability.state === 'up', { timeout: 2000 });
  });

  it('is readonly after one reconnection: a command on a read-only server rejects within its timeout', async () => {
    const replica = await startRedis();
    try {
      await using redis = open({ url: replica.url });
      await eventually(() => redis.availability.state === 'up');
      await redis.client.replicaof('127.0.0.1', await freePort());
      const { ms, error } = await timed(() => redis.client.set('yuxi:a', 1));
      expect(error).toMatchObject({ reason: 'readonly' });
      expect(ms).toBeLessThan(1000);
      await eventually(() => redis.availability.reason === 'readonly');
      let connects = 0;
      redis.client.on('connecting', () => connects++);
      const writes = Array.from({ length: 50 }, () => timed(() => redis.client.set('yuxi:a', 1)));
      await Promise.all(writes);
      expect(connects).toBeLessThan(5);
      await eventually(() => redis.client.replicaof('NO', 'ONE'));
      await eventually(() => redis.availability.state === 'up', { timeout: 3000 });
    } finally {
      await replica.stop();
    }
  });

  it('ends with a server that becomes writable: the refused command is repeated', async () => {
    const changing = await startRedis();
    try {
      await using redis = open({ url: changing.url, commandTimeout: 2000 });
      await using other = open({ url: changing.url });
      await eventually(() => redis.availability.state === 'up' && other.availability.state === 'up');
      await other.client.replicaof('127.0.0.1', await freePort());
      const written = redis.client.set('yuxi:a', 1);
      await other.client.replicaof('NO', 'ONE');
      await expect(written).resolves.toBe('OK');
    } finally {
      await changing.stop();
    }
  });

  it.each([
    ['NOREPLICAS Not enough good replicas to write.', 'noreplicas'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'oom'],
    ['MISCONF Redis is configured to save RDB snapshots', 'misconf'],
    ['CLUSTERDOWN The cluster is down', 'clusterdown'],
    ['BUSY Redis is busy running a script.', 'busy'],
    ['LOADING Redis is loading the dataset in memory', 'loading'],
    ["READONLY You can't write against a read only replica.", 'readonly'],
    ['ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed', 'oom'],
    ['ERR max number of clients reached', 'max-clients'],
    ['No node answers: connect ECONNREFUSED', 'refused'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', undefined],
    ["NOPERM User app has no permissions to run the 'flushall' command", undefined],
    ['BUSYGROUP Consumer Group name already exists', undefined],
    ['ERR syntax error', undefined],
  ])('of the error %s is %s', (message, reason) => {
    expect(unavailableReason(new Error(message))).toBe(reason);
  });

  it('is tls for a certificate problem', () => {
    expect(unavailableReason(Object.assign(new Error('x'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' }))).toBe('tls');
    expect(unavailableReason('ECONNREFUSED')).toBeUndefined();
  });
});
