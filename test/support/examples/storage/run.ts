import assert from 'node:assert/strict';
import { AppModule, Users } from './example-1.js';
import { start } from '../start.js';

const app = await start(AppModule);
assert.deepEqual(await app.get(Users).find(1), []);
await app.close();
