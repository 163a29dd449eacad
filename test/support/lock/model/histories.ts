import * as fc from 'fast-check';
import { Abort, Acquire, EnterTwice, Extend, Release, TryAcquire } from './calls.js';
import type { Party } from './ground.js';
import { Deafen, Expire, FlushAll, FlushScripts, Force, Skew } from './mishaps.js';
import type { Letter } from './model.js';

const party = fc.constantFrom<Party[]>(0, 1);
const letter = fc.constantFrom<Letter[]>('a', 'a', 'b', 'c');
const index = fc.nat(20);
/** Neighbours only: two that go on at once to the same name would come there in no order. */
const several = fc.constantFrom<Letter[][]>(['a', 'b'], ['b', 'c'], ['a', 'b', 'c']);
const letters = fc.oneof({ arbitrary: fc.tuple(letter), weight: 4 }, { arbitrary: several, weight: 1 });

/** Histories of commands; those that find nothing to do are passed over. */
export function histories() {
  const how = fc.constantFrom<('DEL' | 'PEXPIRE')[]>('DEL', 'PEXPIRE');
  const stranger = fc.option(party, { freq: 5 });
  const acquire = fc.tuple(party, letters).map((args) => new Acquire(...args));
  const release = index.map((one) => new Release(one));
  const often = [
    acquire,
    acquire,
    acquire,
    release,
    release,
    fc.tuple(party, letters).map((args) => new TryAcquire(...args)),
    index.map((one) => new Extend(one)),
    index.map((one) => new Abort(one)),
    fc.tuple(index, how, stranger).map((args) => new Expire(...args)),
  ];
  const seldom = [
    letter.map((one) => new Force(one)),
    fc.tuple(party, letters, fc.boolean()).map((args) => new EnterTwice(...args)),
    letter.map((one) => new Skew(one)),
    fc.constant(new FlushScripts()),
    fc.constant(new Deafen()),
    fc.constant(new FlushAll()),
  ];
  return fc.commands([...often, ...often, ...often, ...seldom], { maxCommands: 40, size: 'max' });
}
