import { expect, it } from '@jest/globals';
import { assert, jsonValue, property } from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { runSeed } from '@yuxi/testing';
import { hashOf, type Json, mergePatch, toJson } from './json.js';

const repeatable = { seed: runSeed() };
const json = jsonValue({ maxDepth: 4 }) as Arbitrary<Json>;

const shuffled = (value: Json): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([key, item]) => [key, shuffled(item)]),
      )
    : value;

it('equal values have equal hashes, in any order of their keys', () => {
  assert(
    property(json, (value) => hashOf(value) === hashOf(shuffled(value))),
    repeatable,
  );
});

it('a merge patch does not change its target, and applying it twice gives the same result as once', () => {
  assert(
    property(json, json, (target, patch) => {
      const before = hashOf(target);
      const once = mergePatch(target, patch);
      return hashOf(mergePatch(once, patch)) === hashOf(once) && hashOf(target) === before;
    }),
    repeatable,
  );
});

it('an accepted value is the same after JSON', () => {
  assert(
    property(json, (value) => {
      try {
        const copy = toJson(value);
        expect(JSON.parse(JSON.stringify(copy))).toEqual(copy);
      } catch (error) {
        expect((error as { code?: string }).code).toMatch(/^CONFIG_/);
      }
    }),
    repeatable,
  );
});
