import type { Lock } from '@yuxi/lock';
import type { AsyncCommand } from 'fast-check';
import { expectAgreement } from './agreement.js';
import type { Ground } from './ground.js';
import type { Claim, Letter, LockModel } from './model.js';

/** Something that is done to the model and to the product, which must agree afterwards. */
export abstract class Command implements AsyncCommand<LockModel, Ground> {
  /** Whether it finds anything to do. */
  check(_model: Readonly<LockModel>): boolean {
    return true;
  }

  async run(model: LockModel, ground: Ground): Promise<void> {
    ground.count(this.constructor.name);
    await this.act(model, ground);
    await expectAgreement(model, ground);
  }

  toString(): string {
    return `${this.constructor.name}(${Object.values(this).flat().join(' ')})`;
  }

  protected abstract act(model: LockModel, ground: Ground): Promise<void>;
}

export function claim(letters: readonly Letter[], outcome: Promise<Lock>, gone = new AbortController()): Claim {
  const made: Claim = { letters, outcome, gone, state: 'waiting', given: 0 };
  outcome.then(
    (lock) => (made.lock = lock),
    // Whoever awaits the outcome sees it.
    () => undefined,
  );
  return made;
}

/** One of several, for an index that was drawn before their number was known. */
export function pick<T>(of: readonly T[], index: number): T {
  return of[index % of.length]!;
}
