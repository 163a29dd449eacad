import assert from 'node:assert/strict';
import { Module } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { TaskQueue, TaskService } from '@yuxi/tasks';
import { AppModule, Mails } from './example-1.js';
import { Accounts } from './example-2.js';
import { delivered } from './mails.js';
import { becomes, start } from '../start.js';

@Module({ imports: [AppModule], providers: [Accounts] })
class Root {}

const app = await start(Root);
const [mails, queue, tasks] = [app.get(Mails, { strict: false }), app.get(TaskQueue), app.get(TaskService)];

const welcome = await mails.welcome('a@b.c', '42');
assert.equal(await mails.welcome('a@b.c', '42'), welcome);
assert.equal((await tasks.get(welcome, { owner: '42' })).status, 'pending');

const group = await mails.newsletter([{ to: 'd@e.f' }, { to: 'g@h.i' }]);
assert.equal(group.name, 'Newsletter');
await becomes(async () => (await tasks.get(group.id)).status, 'success');
assert.deepEqual(delivered.toSorted(), ['d@e.f', 'g@h.i']);

const sql = app.get<SqlClient>(SQL_CLIENT);
await sql.query('CREATE TABLE mails (id text PRIMARY KEY, opened int NOT NULL)');
await sql.query(`INSERT INTO mails VALUES ('letter', 0)`);
await queue.enqueue('mail.opened', { id: 'letter' });
await becomes(async () => (await sql.query('SELECT opened FROM mails')).rows, [{ opened: 1 }]);

await sql.query('CREATE TABLE accounts (id text PRIMARY KEY, balance int NOT NULL)');
await sql.query(`INSERT INTO accounts VALUES ('ann', 1)`);
const paid = await queue.enqueue('order.paid', { account: 'ann', amount: 2 });
await becomes(async () => (await tasks.get(paid)).status, 'success');
assert.deepEqual((await sql.query('SELECT balance FROM accounts')).rows, [{ balance: 3 }]);
await app.close();
