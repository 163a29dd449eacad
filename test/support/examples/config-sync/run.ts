import assert from 'node:assert/strict';
import { AppModule, Logins } from './example-1.js';
import { start } from '../start.js';

const lines: string[] = [];
console.log = (line: string) => void lines.push(line);
const app = await start(AppModule);
assert.equal(app.get(Logins).limit(), 10);
await app.get(Logins).raise();
assert.equal(app.get(Logins).limit(), 20);
assert.deepEqual(lines, ['revision 0: undefined -> 10 logins', 'revision 1: 10 -> 20 logins']);
await app.close();
