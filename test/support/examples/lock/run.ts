import assert from 'node:assert/strict';
import { AppModule, Indexer } from './example-1.js';
import { spans } from './example-2.js';
import { start } from '../start.js';

const app = await start(AppModule);
await app.get(Indexer).byHand();
const ends = spans.flatMap((event) => ('heldMs' in event ? [event.name] : []));
assert.deepEqual(ends.toSorted(), ['a', 'b', 'c']);
await app.close();
