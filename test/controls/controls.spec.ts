import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { AREAS, controlsOf } from '../support/controls.js';

const controls = AREAS.flatMap(controlsOf);

const faultSpecs = ['libs', 'apps', 'test/e2e'].flatMap((room) =>
  readdirSync(room, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.faults.spec.ts') && !/node_modules|dist\//.test(file))
    .map((file) => join(room, file)),
);

describe('controls', () => {
  it.each(faultSpecs)('%s has one', (spec) => {
    const own = /control/.test(readFileSync(spec, 'utf8'));
    expect(own || controls.some((control) => control.spec === spec)).toBe(true);
  });

  it('take out guards that are still there', () => {
    const gone = controls.filter(({ file, find }) => readFileSync(file, 'utf8').split(find).length !== 2);
    expect(gone.map(({ file, find }) => `${file}: ${find}`)).toEqual([]);
  });
});
