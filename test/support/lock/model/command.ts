import { expect } from '@jest/globals';
import type { Lock } from '@yuxi/lock';
import { eventually } from '@yuxi/testing';
import type { AsyncCommand } from 'fast-check';
import { type LockCall, type Letter, LETTERS, type LockModel } from './model.js';
import type { RealLocks } from './real-locks.js';

/** One command. It runs on the model and on the product, which must agree afterwards. */
export abstract class Command implements AsyncCommand<LockModel, RealLocks> {
  /** Whether the command applies in this state. */
  check(_model: Readonly<LockModel>): boolean {
    return true;
  }

  async run(model: LockModel, real: RealLocks): Promise<void> {
    real.count(this.constructor.name);
    await this.act(model, real);
    await expectAgreement(model, real);
  }

  toString(): string {
    return `${this.constructor.name}(${Object.values(this).flat().join(' ')})`;
  }

  protected abstract act(model: LockModel, real: RealLocks): Promise<void>;
}

export function lockCall(
  letters: readonly Letter[],
  outcome: Promise<Lock>,
  controller = new AbortController(),
): LockCall {
  const made: LockCall = { letters, outcome, controller, state: 'waiting', granted: 0 };
  outcome.then(
    (lock) => (made.lock = lock),
    // The command that awaits the outcome sees the error.
    () => undefined,
  );
  return made;
}

/** One of several, for a random index that was chosen before their number was known. */
export function pick<T>(of: readonly T[], index: number): T {
  return of[index % of.length]!;
}

/** Waits until the product has the same owners and waiters as the model. */
export async function expectAgreement(model: LockModel, real: RealLocks): Promise<void> {
  const due = () => model.of('held').filter(({ lock }) => !lock).length;
  await eventually(() => due() === 0, { every: 1, describe: `${due()} calls to get their locks` });
  for (const letter of LETTERS) {
    const owner = model.owners.get(letter);
    // `lock.token` is the token of its first name.
    const holder = owner?.letters[0] === letter && owner.lock ? { holder: owner.lock.token } : {};
    const wanted = { held: owner !== undefined, waiting: model.waiting(letter), ...holder };
    await eventually(async () => expect(await real.inspect(letter)).toMatchObject(wanted), { every: 1 });
  }
  // No other call was served, and no owner has lost its lock.
  expect(model.of('waiting').filter(({ lock }) => lock)).toEqual([]);
  expect(model.of('held').filter((call) => !model.hasLost(call) && call.lock!.remainingMs === 0)).toEqual([]);
  for (const [letter, owners] of model.history) {
    const fences = owners.flatMap((owner) => {
      if (typeof owner === 'number') return [owner];
      return owner.lock ? [real.fenceOf(owner.lock, letter)!] : [];
    });
    expect(fences).toEqual([...new Set(fences)].sort((x, y) => x - y));
  }
}
