import { expect } from '@jest/globals';
import { LockLostError } from '@yuxi/lock';
import * as fc from 'fast-check';
import { Command, expectAgreement, lockCall, pick } from './command.js';
import type { Letter, LockCall, LockModel } from './model.js';
import type { RealLocks, ReplicaIndex } from './real-locks.js';

const MAX_WAITING = 8;

export class TryAcquire extends Command {
  constructor(
    readonly replica: ReplicaIndex,
    readonly letters: readonly Letter[],
  ) {
    super();
  }

  async act(model: LockModel, real: RealLocks): Promise<void> {
    const lock = await real.locks(this.replica).tryAcquire(real.names(this.letters));
    expect(lock !== null).toBe(model.isFree(this.letters));
    if (lock) model.enter(lockCall(this.letters, Promise.resolve(lock)));
  }
}

class Acquire extends Command {
  constructor(
    readonly replica: ReplicaIndex,
    readonly letters: readonly Letter[],
  ) {
    super();
  }

  override check(model: LockModel): boolean {
    return model.of('waiting').length < MAX_WAITING;
  }

  async act(model: LockModel, real: RealLocks): Promise<void> {
    const controller = new AbortController();
    const options = { wait: '60s', signal: controller.signal };
    const outcome = real.locks(this.replica).acquire(real.names(this.letters), options);
    model.enter(lockCall(this.letters, outcome, controller));
  }
}

/** Releases a held lock, which may have been lost unnoticed. */
class Release extends Command {
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

class Extend extends Command {
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

class Abort extends Command {
  constructor(readonly index: number) {
    super();
  }

  override check(model: LockModel): boolean {
    return model.of('waiting').length > 0;
  }

  async act(model: LockModel): Promise<void> {
    const chosen = pick(model.of('waiting'), this.index);
    const reason = new Error('aborted');
    chosen.controller.abort(reason);
    await expect(chosen.outcome).rejects.toBe(reason);
    await model.leave(chosen);
  }
}

/** Enters a lock twice in one chain of calls; when `taken`, it is force-released meanwhile. */
class EnterTwice extends Command {
  constructor(
    readonly replica: ReplicaIndex,
    readonly letters: readonly Letter[],
    readonly taken: boolean,
  ) {
    super();
  }

  override check(model: LockModel): boolean {
    return model.isFree(this.letters);
  }

  async act(model: LockModel, real: RealLocks): Promise<void> {
    const locks = real.locks(this.replica);
    const [letter] = this.letters as [Letter];
    let inside: LockCall | undefined;
    const outer = locks.withLock(real.names(this.letters), async (lock) => {
      inside = lockCall(this.letters, Promise.resolve(lock));
      model.enter(inside);
      await locks.withLock(real.name(letter), async (inner) => {
        expect(locks.current()).toBe(inner);
        expect(inner.fence).toBe(real.fenceOf(lock, letter));
      });
      await expectAgreement(model, real);
      if (!this.taken) return;
      await real.force(letter);
      await model.free([letter]);
    });
    if (this.taken) await expect(outer).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
    else await outer;
    await model.leave(inside!);
  }
}

/** The key of an owner expires. A new owner that tries then does not get the lock before the waiters. */
class Expire extends Command {
  constructor(
    readonly index: number,
    readonly how: 'DEL' | 'PEXPIRE',
    readonly newcomer: ReplicaIndex | null,
  ) {
    super();
  }

  override check({ owners }: LockModel): boolean {
    return owners.size > 0;
  }

  async act(model: LockModel, real: RealLocks): Promise<void> {
    const letter = pick([...model.owners.keys()], this.index);
    await real.expire(letter, this.how);
    if (this.newcomer !== null && model.waiting(letter) > 0)
      expect(await real.locks(this.newcomer).tryAcquire(real.name(letter))).toBeNull();
    await model.free([letter]);
  }
}

class Force extends Command {
  constructor(readonly letter: Letter) {
    super();
  }

  async act(model: LockModel, real: RealLocks): Promise<void> {
    const held = !model.isFree([this.letter]);
    expect(await real.force(this.letter)).toBe(held);
    // At once, not at the next pump.
    expect((await real.inspect(this.letter)).held).toBe(model.waiting(this.letter) > 0);
    await model.free([this.letter]);
  }
}

class SkewClock extends Command {
  constructor(readonly letter: Letter) {
    super();
  }

  async act(model: LockModel, real: RealLocks): Promise<void> {
    model.history.get(this.letter)!.push(await real.skewClock(this.letter));
  }
}

class FlushScripts extends Command {
  act(_model: LockModel, real: RealLocks): Promise<void> {
    return real.flushScripts();
  }
}

class DropSubscriptions extends Command {
  act(_model: LockModel, real: RealLocks): Promise<void> {
    return real.dropSubscriptions();
  }
}

class FlushAll extends Command {
  /** A call that holds one name and waits for another would join the next queue at an unknown time. */
  override check(model: LockModel): boolean {
    return model.of('waiting').every(({ letters }) => letters.length === 1);
  }

  async act(model: LockModel, real: RealLocks): Promise<void> {
    await real.flushAll();
    await model.loseData();
  }
}

const replica = fc.constantFrom<ReplicaIndex[]>(0, 1);
const letter = fc.constantFrom<Letter[]>('a', 'a', 'b', 'c');
const index = fc.nat(20);
/** Neighbours only: two calls that advance to the same name at once would queue in an unknown order. */
const several = fc.constantFrom<Letter[][]>(['a', 'b'], ['b', 'c'], ['a', 'b', 'c']);
const letters = fc.oneof({ arbitrary: fc.tuple(letter), weight: 4 }, { arbitrary: several, weight: 1 });

/** Random histories of commands; a command that does not apply is skipped. */
export function histories() {
  const how = fc.constantFrom<('DEL' | 'PEXPIRE')[]>('DEL', 'PEXPIRE');
  const newcomer = fc.option(replica, { freq: 5 });
  const acquire = fc.tuple(replica, letters).map((args) => new Acquire(...args));
  const release = index.map((one) => new Release(one));
  const often = [
    acquire,
    acquire,
    acquire,
    release,
    release,
    fc.tuple(replica, letters).map((args) => new TryAcquire(...args)),
    index.map((one) => new Extend(one)),
    index.map((one) => new Abort(one)),
    fc.tuple(index, how, newcomer).map((args) => new Expire(...args)),
  ];
  const rare = [
    letter.map((one) => new Force(one)),
    fc.tuple(replica, letters, fc.boolean()).map((args) => new EnterTwice(...args)),
    letter.map((one) => new SkewClock(one)),
    fc.constant(new FlushScripts()),
    fc.constant(new DropSubscriptions()),
    fc.constant(new FlushAll()),
  ];
  return fc.commands([...often, ...often, ...often, ...rare], { maxCommands: 40, size: 'max' });
}
