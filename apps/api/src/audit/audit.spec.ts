import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { eventually, startPostgres, type PostgresServer } from '@yuxi/testing';
import { AuthApp, PASSWORD } from '../../../../test/support/api/auth-app.js';
import { AuditSweeper } from './audit.module.js';
import { AuditLog, AuditStore } from './index.js';

const AUDIT = '/api/system/audit';

interface Event {
  id: number;
  at: string;
  actor_id: number | null;
  action: string;
  target: string | null;
  outcome: string;
  client_address: string | null;
  request_id: string | null;
  details: Record<string, unknown>;
}

describe('the audit log', () => {
  let server: PostgresServer;
  let app: AuthApp;
  let sql: SqlClient;
  let root: string;
  let rootId: number;

  beforeAll(async () => {
    server = await startPostgres();
    app = await AuthApp.start({ databaseUrl: (await server.createDatabase()).url });
    sql = app.app.get<SqlClient>(SQL_CLIENT);
    const { body } = await app.initialize();
    [root, rootId] = [body['access_token'] as string, body['user_id'] as number];
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });
  afterAll(async () => {
    await app?.close();
    await server?.stop();
  });

  const ask = (query = '', token = root) => app.call('GET', `${AUDIT}${query}`, undefined, token);
  const list = async (query = '') =>
    (await ask(query)).body as unknown as { events: Event[]; next_before: number | null };
  /** The newest events, oldest first, once there are `count` that were not there before `work`. */
  async function recorded(count: number, work: () => Promise<unknown>): Promise<Event[]> {
    const before = (await list('?limit=1')).events[0]?.id ?? 0;
    await work();
    const fresh = async () => (await list()).events.filter(({ id }) => id > before).toReversed();
    await eventually(async () => (await fresh()).length >= count, { describe: `${count} events` });
    return fresh();
  }

  it('records logins that succeed and logins that fail, without the text that was typed', async () => {
    const typed = 'my password by mistake';
    const events = await recorded(3, async () => {
      await app.login('root');
      await app.login('root', 'wrong');
      await app.login(typed, 'wrong');
    });
    const from = { client_address: '127.0.0.1', request_id: expect.stringMatching(/^[\w-]{36}$/), action: 'login' };
    const target = `user:${rootId}`;
    expect(events).toMatchObject([
      { ...from, actor_id: rootId, target, outcome: 'ok', details: {} },
      { ...from, actor_id: null, target, outcome: 'refused', details: { reason: 'wrong password' } },
      { ...from, actor_id: null, target: null, outcome: 'refused', details: { reason: 'no such user' } },
    ]);
    for (const { at } of events) expect(Math.abs(Date.parse(at) - Date.now())).toBeLessThan(60_000);
    const { rows } = await sql.query<{ dump: string }>(`SELECT string_agg(a::text, ' ') AS dump FROM audit_events a`);
    for (const secret of [typed, 'wrong"', PASSWORD]) expect(rows[0]!.dump).not.toContain(secret);
  });

  it('records changes of users, roles, passwords and keys, and logouts, each with actor and target', async () => {
    let id = 0;
    const events = await recorded(11, async () => {
      const made = await app.addUser(root, 'audited');
      id = made.id;
      const url = `/api/auth/users/${id}`;
      await app.call('PUT', url, { username: 'y', role: 'admin', password: 'another password' }, root);
      const login = await app.login('audited', 'another password');
      const token = login.body['access_token'] as string;
      const body = { current_password: 'another password', new_password: 'a third password' };
      const changed = await app.call('PUT', '/api/auth/password', body, token);
      const now = changed.body['access_token'] as string;
      const key = await app.call('POST', '/api/auth/keys', { name: 'k', scopes: ['read'] }, now);
      await app.call('DELETE', `/api/auth/keys/${String(key.body['id'])}`, undefined, now);
      await app.call('POST', '/api/auth/logout', {}, now);
      await app.call('DELETE', url, undefined, root);
    });
    const recordedRows = events.map(({ action, actor_id, target, details }) => [action, actor_id, target, details]);
    const user = `user:${id}`;
    const key = expect.stringMatching(/^key:\d+$/);
    const expected = [
      ['user.create', rootId, user, { role: 'user', department: expect.any(Number) }],
      ['login', id, user, {}],
      ['user.role', rootId, user, { from: 'user', to: 'admin' }],
      ['password.change', rootId, user, {}],
      ['user.update', rootId, user, { changed: ['username'] }],
      ['login', id, user, {}],
      ['password.change', id, user, {}],
      ['key.create', id, key, { scopes: ['read'] }],
      ['key.revoke', id, key, {}],
      ['logout', id, user, { everywhere: false }],
      ['user.delete', rootId, user, {}],
    ];
    expect(recordedRows).toHaveLength(expected.length);
    // Queued events may change places with those of transactions.
    expect(recordedRows).toEqual(expect.arrayContaining(expected));
  });

  it('is open to the superadmin only', async () => {
    const { token } = await app.addUser(root, 'curious', 'admin');
    expect([(await ask('', token)).status, (await app.call('GET', AUDIT)).status]).toEqual([403, 401]);
  });

  it('is read page by page, and no page loses or repeats events that are written meanwhile', async () => {
    const all = (await list('?limit=200')).events;
    expect(all.length).toBeGreaterThan(10);
    const seen: Event[] = [];
    for (let before: number | null | undefined; before !== null;) {
      const page = await list(`?limit=3${before ? `&before=${before}` : ''}`);
      seen.push(...page.events);
      before = page.next_before;
      await recorded(1, () => app.login('root'));
    }
    expect(seen).toEqual(all);
  });

  it('is filtered by actor, action and time', async () => {
    const { events: all } = await list('?limit=200');
    const middle = all[4]!.at;
    const matching = async (query: string) => (await list(`?limit=200&${query}`)).events;
    expect(await matching(`actor=${rootId}`)).toEqual(all.filter(({ actor_id }) => actor_id === rootId));
    expect(await matching('action=user.role')).toEqual(all.filter(({ action }) => action === 'user.role'));
    expect(await matching(`from=${middle}`)).toEqual(all.filter(({ at }) => at >= middle));
    expect(await matching(`to=${middle}`)).toEqual(all.filter(({ at }) => at < middle));
    expect(await matching(`actor=${rootId}&action=login&to=2020-01-01T00:00:00Z`)).toEqual([]);
  });

  it.each(['limit=201', 'limit=0', 'before=0', 'actor=x', 'action=everything', 'from=yesterday', 'colour=red'])(
    'refuses ?%s',
    async (query) => {
      expect((await ask(`?${query}`)).status).toBe(400);
    },
  );

  it('neither fails nor delays a login whose event it cannot write', async () => {
    const log = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    const before = (await list('?limit=1&action=login')).events[0]!.id;
    await sql.query('ALTER TABLE audit_events RENAME TO audit_events_away');
    expect((await app.login('root')).status).toBe(200);
    expect((await app.login('root', 'wrong')).status).toBe(401);
    await eventually(() => log.mock.calls.length > 0, { describe: 'a line in the log' });
    expect(log.mock.calls).toEqual([[expect.stringContaining('The audit log cannot be written')]]);
    await sql.query('ALTER TABLE audit_events_away RENAME TO audit_events');
    const events = await eventually(
      async () => {
        const fresh = (await list('?action=login')).events.filter(({ id }) => id > before);
        return fresh.length === 2 && fresh;
      },
      { describe: 'both events to be written after all' },
    );
    expect(events).toMatchObject([{ outcome: 'refused' }, { outcome: 'ok' }]);
  });

  it('is written in the transaction of a change of a user: both are committed or neither is', async () => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    await sql.query('ALTER TABLE audit_events RENAME TO audit_events_away');
    const user = { user_id: 'unrecorded', username: 'x', password: PASSWORD };
    expect((await app.call('POST', '/api/auth/users', user, root)).status).toBe(500);
    await sql.query('ALTER TABLE audit_events_away RENAME TO audit_events');
    expect((await app.call('POST', '/api/auth/users', user, root)).status).toBe(201);
    const taken = await app.call('POST', '/api/auth/users', user, root);
    expect(taken.status).toBe(409);
    const { rows } = await sql.query(
      `SELECT FROM audit_events a JOIN users u ON a.target = 'user:' || u.id WHERE u.user_id = 'unrecorded' AND a.action = 'user.create'`,
    );
    expect(rows).toHaveLength(1);
  });

  it('stores any text, and redacts values that look like secrets', async () => {
    const [event] = await recorded(1, async () => {
      const details = { note: 'a\0b\ud800', password: 'hunter2', list: ['Bearer abcdefgh.ijkl'] };
      app.app.get(AuditLog).record({ action: 'settings.change', target: 'x\0y', details });
    });
    expect(event).toMatchObject({ target: 'x\ufffdy', details: { note: 'a\ufffdb\ufffd', password: '[redacted]' } });
    expect(JSON.stringify(event)).not.toMatch(/hunter2|abcdefgh/);
    expect(event).toMatchObject({ actor_id: null, client_address: null, request_id: null });
  });

  it('removes events that are older than its retention, in portions, and no others', async () => {
    const kept = (await list('?limit=200')).events.length;
    await sql.query(
      `INSERT INTO audit_events (at, action, outcome) SELECT now() - interval '181 days', 'login', 'ok'
       FROM generate_series(1, 2500)`,
    );
    await sql.query(
      `INSERT INTO audit_events (at, action, outcome) VALUES (now() - interval '179 days', 'login', 'ok')`,
    );
    expect(await app.app.get(AuditStore).removeOld(180 * 86_400_000, 7)).toBe(7);
    expect(await app.app.get(AuditSweeper).sweep()).toBe(2493);
    const { rows } = await sql.query<{ n: number }>('SELECT count(*) AS n FROM audit_events');
    expect(rows[0]!.n).toBe(kept + 1);
  });
});
