import { expect } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import type { Ground } from './ground.js';
import { LETTERS, type LockModel } from './model.js';

/** Waits until the product shows what the model says, and for whom the model says. */
export async function expectAgreement(model: LockModel, ground: Ground): Promise<void> {
  const due = () => model.of('held').filter(({ lock }) => !lock).length;
  await eventually(() => due() === 0, { every: 1, describe: `${due()} claims to be served` });
  for (const letter of LETTERS) {
    const owner = model.owners.get(letter);
    // Only its first name has the token that a lock shows.
    const holder = owner?.letters[0] === letter && owner.lock ? { holder: owner.lock.token } : {};
    const wanted = { held: owner !== undefined, waiting: model.waiting(letter), ...holder };
    await eventually(async () => expect(await ground.look(letter)).toMatchObject(wanted), { every: 1 });
  }
  // Nobody else was served, and nobody's lock ended who has it.
  expect(model.of('waiting').filter(({ lock }) => lock)).toEqual([]);
  expect(model.of('held').filter((claim) => !model.hasLost(claim) && claim.lock!.remainingMs === 0)).toEqual([]);
  for (const [letter, owners] of model.history) {
    const fences = owners.flatMap((owner) => {
      if (typeof owner === 'number') return [owner];
      return owner.lock ? [ground.fenceOf(owner.lock, letter)!] : [];
    });
    expect(fences).toEqual([...new Set(fences)].sort((x, y) => x - y));
  }
}
