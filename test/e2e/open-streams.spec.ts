import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { type Base, IdentityWorld } from '../support/api/identities.js';
import { USER_PASSWORD } from '../support/api/accounts.js';

const PROMISED = 5000;

let world: IdentityWorld;
let base: Base;

beforeAll(async () => {
  world = await IdentityWorld.start(2);
  base = await world.base(true);
}, 60_000);
afterAll(() => world?.stop(), 60_000);

const superadmin = () => ({ token: world.superadmin });
const user = (id: number) => `/api/auth/users/${id}`;

/** A caller that watches a task, and an action that ends the right to it. */
interface Case {
  token: string;
  task: string;
  end: () => Promise<unknown>;
}

async function cases(): Promise<Record<string, Case>> {
  const { client } = world;
  const task = base.task_id;
  const admin = async () => world.newUser('admin');
  const [loggedOut, elsewhere, deleted, demoted, reset, moved, keyed] = await Promise.all(
    Array.from({ length: 7 }, admin),
  );
  const key = async () => world.key(['read'], keyed!.token);
  const [revoked, expired] = [await key(), await key()];
  const unshared = await world.base(true);
  const removed = await world.base(true);
  const shareless = { share_config: { visibility: 'private' } };
  const owner = { token: world.tokens.owner[0]! };
  return {
    logout: { ...loggedOut!, task, end: () => client.post('/api/auth/logout', { json: {}, token: loggedOut!.token }) },
    'logout everywhere': {
      ...elsewhere!,
      task,
      end: () => client.post('/api/auth/logout', { json: { everywhere: true }, token: elsewhere!.token }),
    },
    'deletion of the user': { ...deleted!, task, end: () => client.del(user(deleted!.id), superadmin()) },
    'another role': { ...demoted!, task, end: () => client.put(user(demoted!.id), { json: { role: 'user' }, ...superadmin() }) },
    'a new password': {
      ...reset!,
      task,
      end: () => client.put(user(reset!.id), { json: { password: `${USER_PASSWORD}!` }, ...superadmin() }),
    },
    'another department': {
      ...moved!,
      task,
      end: () => client.put(user(moved!.id), { json: { department_id: world.departmentB }, ...superadmin() }),
    },
    'a revoked key': { token: revoked.key, task, end: () => client.del(`/api/auth/keys/${revoked.id}`, { token: keyed!.token }) },
    'an expired key': {
      token: expired.key,
      task,
      end: () => world.sql('UPDATE api_keys SET expires_at = now() WHERE id = $1', [expired.id]),
    },
    'an expired session': {
      token: world.tokens.colleague[0]!,
      task,
      end: () => world.sql('UPDATE sessions SET expires_at = now() WHERE user_id = $1', [world.ids.colleague]),
    },
    'a knowledge base no longer shared': {
      token: (await world.newUser()).token,
      task: unshared.task_id,
      end: () => client.put(`/api/knowledge/databases/${unshared.db_id}`, { json: shareless, ...owner }),
    },
    'a deleted knowledge base': {
      token: world.tokens.owner[0]!,
      task: removed.task_id,
      end: () => client.del(`/api/knowledge/databases/${removed.db_id}`, owner),
    },
  }; // prettier-ignore
}

describe('open responses of two replicas', () => {
  it('end within 5 s when the caller may no longer see the task, and no others end', async () => {
    const all = Object.entries(await cases());
    let stays = true;
    const kept = await Promise.all(
      [0, 1].map((replica) => world.watch(replica, base.task_id, world.tokens.admin_a[0]!)),
    );
    for (const { text } of kept) void text.finally(() => (stays = false)).catch(() => undefined);
    const open = await Promise.all(
      all.map(async ([name, { token, task, end }]) => ({
        name,
        end,
        streams: await Promise.all([0, 1].map((replica) => world.watch(replica, task, token))),
      })),
    );
    expect(open.flatMap(({ streams }) => streams.map(({ status }) => status))).toEqual(open.flatMap(() => [200, 200]));
    const took = await Promise.all(
      open.map(async ({ name, end, streams }) => {
        await end();
        const from = performance.now();
        const late = new Promise<'open'>((resolve) => setTimeout(() => resolve('open'), PROMISED * 2).unref());
        const ended = await Promise.race([Promise.all(streams.map(({ text }) => text)), late]);
        return [name, ended !== 'open' && performance.now() - from < PROMISED];
      }),
    );
    expect(Object.fromEntries(took)).toEqual(Object.fromEntries(all.map(([name]) => [name, true])));
    expect(stays).toBe(true);
  });

  it('end within 5 s while they wait for a task with ?wait', async () => {
    const token = await world.login('owner');
    const path = `/api/knowledge/databases/${base.db_id}/documents/parse?wait=30s`;
    const tasks = async () => (await world.sql<{ id: string }>('SELECT id FROM tasks')).length;
    const before = await tasks();
    const held = world.clients[1]!.post(path, { json: [base.doc_id], token });
    // A logout before the request would refuse it.
    await eventually(async () => (await tasks()) > before, { describe: 'the request to wait for its task' });
    const from = performance.now();
    await world.client.post('/api/auth/logout', { json: {}, token });
    expect(await held).toMatchObject({ status: 202, body: { status: 'queued' } });
    expect(performance.now() - from).toBeLessThan(PROMISED);
  });

  it('end within 5 s while they wait for replicas with ?wait', async () => {
    await world.sql(
      `INSERT INTO config_replica (scope, replica, instance) SELECT scope, 'silent', 'silent' FROM config_replica LIMIT 1`,
    );
    const token = await world.login('superadmin');
    const from = performance.now();
    const held = world.clients[1]!.get('/api/system/config/rollout?wait=30s', { token });
    await world.client.post('/api/auth/logout', { json: {}, token });
    expect(await held).toMatchObject({ status: 401, body: { code: 'UNAUTHORIZED' } });
    expect(performance.now() - from).toBeLessThan(PROMISED);
  });
});
