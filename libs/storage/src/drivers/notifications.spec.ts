import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { type ChaosProxy, eventually, type PostgresServer, startPostgres, startProxy } from '@yuxi/testing';
import { onBothDrivers } from '../../../../test/support/both-drivers.js';
import { openStorage } from '../open-storage.js';
import type { StorageDriver } from './driver.js';

/** Records the calls. */
class Listener {
  readonly messages: string[] = [];
  listens = 0;
  message(payload: string): void {
    this.messages.push(payload);
  }
  listening(): void {
    this.listens++;
  }
}

onBothDrivers('notifications', (driver) => {
  const notify = (payload: string) => driver().sql.query('SELECT pg_notify($1, $2)', ['yuxi_spec', payload]);

  it('arrive after the commit at every listener of the channel, until it stops', async () => {
    const { sql, notifications } = driver();
    const [one, two, other] = [new Listener(), new Listener(), new Listener()];
    const stops = [
      notifications.listen('yuxi_spec', one),
      notifications.listen('yuxi_spec', two),
      notifications.listen('yuxi_other', other),
    ];
    await eventually(() => expect([one.listens, two.listens, other.listens]).toEqual([1, 1, 1]));
    await sql
      .transaction(async (tx) => {
        await tx.query('SELECT pg_notify($1, $2)', ['yuxi_spec', 'rolled back']);
        throw new Error('no');
      })
      .catch(() => undefined);
    await sql.transaction(async (tx) => {
      await tx.query('SELECT pg_notify($1, $2)', ['yuxi_spec', 'committed']);
      expect(one.messages).toEqual([]);
    });
    await eventually(() => expect([one.messages, two.messages]).toEqual([['committed'], ['committed']]));
    await stops[0]!();
    await notify('second');
    await eventually(() => expect(two.messages).toEqual(['committed', 'second']));
    expect(one.messages).toEqual(['committed']);
    expect(other.messages).toEqual([]);
    await Promise.all(stops.map((stop) => stop()));
    const late = new Listener();
    const stop = notifications.listen('yuxi_spec', late);
    await eventually(() => expect(late.listens).toBe(1));
    await notify('third');
    await eventually(() => expect(late.messages).toEqual(['third']));
    expect(two.messages).toHaveLength(2);
    await stop();
  });

  it.each(['', 'a b', 'a"; DROP TABLE users; --', 'x'.repeat(64)])('are refused on the channel %j', (channel) => {
    expect(() => driver().notifications.listen(channel, new Listener())).toThrow(/channel must be/);
  });
});

describe('notifications of PostgreSQL over a connection that fails', () => {
  let server: PostgresServer;
  let proxy: ChaosProxy;
  let direct: StorageDriver;
  let driver: StorageDriver;
  let listener: Listener;
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);

  const receives = async (payload: string) => {
    await direct.sql.query('SELECT pg_notify($1, $2)', ['yuxi_spec', payload]);
    await eventually(() => expect(listener.messages).toContain(payload), { timeout: 500 });
  };

  beforeAll(async () => {
    server = await startPostgres();
  });
  beforeEach(async () => {
    const { url } = await server.createDatabase();
    const { hostname, port } = new URL(url);
    proxy = await startProxy({ host: hostname, port: Number(port) });
    direct = await openStorage({ databaseUrl: url });
    driver = await openStorage({ databaseUrl: proxy.through(url), poolSize: 1 });
    listener = new Listener();
    driver.notifications.listen('yuxi_spec', listener);
    await eventually(() => expect(listener.listens).toBe(1));
    await receives('at first');
    warn.mockClear();
  });
  afterEach(async () => {
    await proxy.heal();
    await Promise.all([driver.close(), direct.close()]);
    await proxy.stop();
  });
  afterAll(async () => {
    warn.mockRestore();
    await server.stop();
  });

  it('arrive again after the server ended the connection, and the listener is informed', async () => {
    await direct.sql.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'yuxi listener' AND datname = current_database()`,
    );
    await eventually(() => expect(listener.listens).toBe(2));
    await receives('again');
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('arrive again after the connection stopped answering', async () => {
    proxy.blackhole();
    await eventually(() => expect(warn).toHaveBeenCalledWith(expect.stringContaining('was lost')), { timeout: 4000 });
    await proxy.heal();
    await eventually(() => expect(listener.listens).toBe(2), { timeout: 4000 });
    await receives('after the silence');
  });

  it('arrive also at a listener that throws, and at all others', async () => {
    const error = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    driver.notifications.listen('yuxi_spec', {
      listening: () => undefined,
      message: () => {
        throw new Error('broken listener');
      },
    });
    await receives('one');
    await receives('two');
    expect(error).toHaveBeenCalled();
    error.mockRestore();
    expect(listener.listens).toBe(1);
  });
});
