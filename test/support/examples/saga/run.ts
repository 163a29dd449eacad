import assert from 'node:assert/strict';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { charges } from './bank.js';
import { AppModule, Orders } from './example-1.js';
import { becomes, start } from '../start.js';

const lines: string[] = [];
console.log = (line: string) => void lines.push(line);
const app = await start(AppModule);
const sql = app.get<SqlClient>(SQL_CLIENT);
await sql.query('CREATE TABLE stock (item text PRIMARY KEY, free int NOT NULL)');
await sql.query(`INSERT INTO stock VALUES ('wing', 1)`);

const orders = app.get(Orders);
const status = async (id: string) => (await orders.state(id)).status;
const order = { item: 'wing', account: 'ann' };
const first = await orders.order(1, order);
assert.equal(await orders.order(1, order), first);
await becomes(() => status(first), 'done');
assert.deepEqual(lines, ['shipping wing, paid by ann at 1']);
const second = await orders.order(2, order);
await becomes(() => status(second), 'undone');
assert.deepEqual([...charges.values()], ['ann']);
assert.deepEqual((await sql.query('SELECT free FROM stock')).rows, [{ free: 0 }]);
await app.close();
