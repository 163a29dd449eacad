import { expect } from '@jest/globals';
import { LockLostError } from '@yuxi/lock';
import { expectAgreement } from './agreement.js';
import { claim, Command, pick } from './command.js';
import type { Ground, Party } from './ground.js';
import type { Claim, Letter, LockModel } from './model.js';

const MAX_WAITING = 8;

export class TryAcquire extends Command {
  constructor(
    readonly party: Party,
    readonly letters: readonly Letter[],
  ) {
    super();
  }

  async act(model: LockModel, ground: Ground): Promise<void> {
    const lock = await ground.locks(this.party).tryAcquire(ground.names(this.letters));
    expect(lock !== null).toBe(model.isFree(this.letters));
    if (lock) model.enter(claim(this.letters, Promise.resolve(lock)));
  }
}

export class Acquire extends Command {
  constructor(
    readonly party: Party,
    readonly letters: readonly Letter[],
  ) {
    super();
  }

  override check(model: LockModel): boolean {
    return model.of('waiting').length < MAX_WAITING;
  }

  async act(model: LockModel, ground: Ground): Promise<void> {
    const gone = new AbortController();
    const options = { wait: '60s', signal: gone.signal };
    const outcome = ground.locks(this.party).acquire(ground.names(this.letters), options);
    model.enter(claim(this.letters, outcome, gone));
  }
}

/** Gives back one that is held, perhaps without its knowing that it was lost. */
export class Release extends Command {
  constructor(readonly index: number) {
    super();
  }

  override check(model: LockModel): boolean {
    return model.of('held').length > 0;
  }

  async act(model: LockModel): Promise<void> {
    const chosen = pick(model.of('held'), this.index);
    const lock = await chosen.outcome;
    const answer = await lock.release();
    expect(answer).toBe(await model.leave(chosen));
    expect(await lock.release()).toBe(answer);
    expect(() => lock.assertValid()).toThrow(LockLostError);
  }
}

export class Extend extends Command {
  constructor(readonly index: number) {
    super();
  }

  override check(model: LockModel): boolean {
    return model.of('held').length > 0;
  }

  async act(model: LockModel): Promise<void> {
    const chosen = pick(model.of('held'), this.index);
    const lock = await chosen.outcome;
    const lost = model.hasLost(chosen);
    const extended = await lock.extend('40s').then(
      () => 'extended',
      (error: unknown) => error,
    );
    if (lost) expect(extended).toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
    else expect(extended).toBe('extended');
    expect(lock.signal.aborted).toBe(lost);
  }
}

export class Abort extends Command {
  constructor(readonly index: number) {
    super();
  }

  override check(model: LockModel): boolean {
    return model.of('waiting').length > 0;
  }

  async act(model: LockModel): Promise<void> {
    const chosen = pick(model.of('waiting'), this.index);
    const reason = new Error('gone');
    chosen.gone.abort(reason);
    await expect(chosen.outcome).rejects.toBe(reason);
    await model.leave(chosen);
  }
}

/** Enters twice in one chain of calls; on request the lock is taken away meanwhile. */
export class EnterTwice extends Command {
  constructor(
    readonly party: Party,
    readonly letters: readonly Letter[],
    readonly taken: boolean,
  ) {
    super();
  }

  override check(model: LockModel): boolean {
    return model.isFree(this.letters);
  }

  async act(model: LockModel, ground: Ground): Promise<void> {
    const locks = ground.locks(this.party);
    const [letter] = this.letters as [Letter];
    let inside: Claim | undefined;
    const outer = locks.withLock(ground.names(this.letters), async (lock) => {
      inside = claim(this.letters, Promise.resolve(lock));
      model.enter(inside);
      await locks.withLock(ground.name(letter), async (inner) => {
        expect(locks.current()).toBe(inner);
        expect(inner.fence).toBe(ground.fenceOf(lock, letter));
      });
      await expectAgreement(model, ground);
      if (!this.taken) return;
      await ground.force(letter);
      await model.free([letter]);
    });
    if (this.taken) await expect(outer).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
    else await outer;
    await model.leave(inside!);
  }
}
