import assert from 'node:assert/strict';
import { AppModule, Logins } from './example-1.js';
import { start } from '../start.js';

const said: string[] = [];
console.log = (line: string) => void said.push(line);
const [one, two] = await Promise.all([start(AppModule), start(AppModule)]);
assert.deepEqual([one.get(Logins).limit(), two.get(Logins).limit()], [10, 10]);
await one.get(Logins).raise();
assert.deepEqual([one.get(Logins).limit(), two.get(Logins).limit()], [20, 20]);
assert.deepEqual(said.toSorted(), [
  ...Array<string>(2).fill('revision 0: undefined -> 10 logins'),
  ...Array<string>(2).fill('revision 1: 10 -> 20 logins'),
]);
await Promise.all([one.close(), two.close()]);
