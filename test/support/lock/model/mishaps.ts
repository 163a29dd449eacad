import { expect } from '@jest/globals';
import { Command, pick } from './command.js';
import type { Ground, Party } from './ground.js';
import type { Letter, LockModel } from './model.js';

/** The key of an owner goes; a stranger who asks then comes after those who wait. */
export class Expire extends Command {
  constructor(
    readonly index: number,
    readonly how: 'DEL' | 'PEXPIRE',
    readonly stranger: Party | null,
  ) {
    super();
  }

  override check({ owners }: LockModel): boolean {
    return owners.size > 0;
  }

  async act(model: LockModel, ground: Ground): Promise<void> {
    const letter = pick([...model.owners.keys()], this.index);
    await ground.expire(letter, this.how);
    if (this.stranger !== null && model.waiting(letter) > 0)
      expect(await ground.locks(this.stranger).tryAcquire(ground.name(letter))).toBeNull();
    await model.free([letter]);
  }
}

export class Force extends Command {
  constructor(readonly letter: Letter) {
    super();
  }

  async act(model: LockModel, ground: Ground): Promise<void> {
    const held = !model.isFree([this.letter]);
    expect(await ground.force(this.letter)).toBe(held);
    // In the same step, not when somebody looks.
    expect((await ground.look(this.letter)).held).toBe(model.waiting(this.letter) > 0);
    await model.free([this.letter]);
  }
}

export class Skew extends Command {
  constructor(readonly letter: Letter) {
    super();
  }

  async act(model: LockModel, ground: Ground): Promise<void> {
    model.history.get(this.letter)!.push(await ground.skew(this.letter));
  }
}

export class FlushScripts extends Command {
  act(_model: LockModel, ground: Ground): Promise<void> {
    return ground.flushScripts();
  }
}

export class Deafen extends Command {
  act(_model: LockModel, ground: Ground): Promise<void> {
    return ground.deafen();
  }
}

export class FlushAll extends Command {
  /** Who waits for one name while it has another goes on to the next queue unseen. */
  override check(model: LockModel): boolean {
    return model.of('waiting').every(({ letters }) => letters.length === 1);
  }

  async act(model: LockModel, ground: Ground): Promise<void> {
    await ground.flushAll();
    await model.forget();
  }
}
