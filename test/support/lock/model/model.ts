import type { Lock, ReleaseResult } from '@yuxi/lock';
import { eventually } from '@yuxi/testing';

/** Names of locks, in the order in which they are acquired. */
export const LETTERS = ['a', 'b', 'c'] as const;
export type Letter = (typeof LETTERS)[number];

/** One call that acquires names, one after the other. */
export interface LockCall {
  readonly letters: readonly Letter[];
  /** The result of the product. */
  readonly outcome: Promise<Lock>;
  /** The lock, once it is granted. */
  lock?: Lock;
  /** Ends the wait. */
  readonly controller: AbortController;
  state: 'waiting' | 'held' | 'ended';
  /** Number of letters that are granted. */
  granted: number;
}

/** The expected state of the locks after each command: the owner of each name, and its queue. */
export class LockModel {
  readonly calls: LockCall[] = [];
  readonly owners = new Map<Letter, LockCall>();
  /** All owners of a name in order, and fences that a test has written. */
  readonly history = new Map<Letter, (LockCall | number)[]>(LETTERS.map((letter) => [letter, []]));
  /** Groups in the order of service; within a group the order is unknown. */
  readonly #queues = new Map<Letter, LockCall[][]>(LETTERS.map((letter) => [letter, []]));

  of(state: LockCall['state']): LockCall[] {
    return this.calls.filter((call) => call.state === state);
  }

  isFree(letters: readonly Letter[]): boolean {
    return letters.every((letter) => !this.owners.has(letter));
  }

  waiting(letter: Letter): number {
    return this.#queues.get(letter)!.flat().length;
  }

  /** Whether it has lost a granted name. */
  hasLost(call: LockCall): boolean {
    return call.letters.slice(0, call.granted).some((letter) => this.owners.get(letter) !== call);
  }

  enter(call: LockCall): void {
    this.calls.push(call);
    this.#advance(call);
  }

  /** Releases its names and its place in a queue. @returns what `release` must return */
  async leave(call: LockCall): Promise<ReleaseResult> {
    const lost = this.hasLost(call);
    call.state = 'ended';
    const next = call.letters[call.granted];
    if (next) this.#dequeue(next, call);
    const served = await this.free(call.letters.filter((letter) => this.owners.get(letter) === call));
    if (lost) return 'lost';
    return served > 0 ? 'handed-off' : 'released';
  }

  /** Grants the names to the next waiters. @returns how many got one */
  async free(letters: readonly Letter[]): Promise<number> {
    for (const letter of letters) this.owners.delete(letter);
    const served: LockCall[] = [];
    for (const letter of letters) {
      const next = await this.#next(letter);
      if (!next) continue;
      this.#dequeue(letter, next);
      this.#grant(letter, next);
      served.push(next);
    }
    for (const call of served) this.#advance(call);
    return served.length;
  }

  /** Redis lost its data: there are no owners, and the waiters queue again in an unknown order. */
  async loseData(): Promise<void> {
    // New fences come from the clock, which is behind the fences that a test has written.
    for (const [letter, fences] of this.history)
      if (fences.some((fence) => typeof fence === 'number')) this.history.set(letter, []);
    for (const [letter, groups] of this.#queues) this.#queues.set(letter, [groups.flat()].filter(isNotEmpty));
    await this.free(LETTERS);
  }

  async #next(letter: Letter): Promise<LockCall | undefined> {
    const [group] = this.#queues.get(letter)!;
    if (!group || group.length === 1) return group?.[0];
    // Only the product decides which one.
    const served = () => group.find(({ lock }) => lock) ?? false;
    return (await eventually(served, { every: 1, describe: `one of ${group.length} to get ${letter}` })) || undefined;
  }

  #advance(call: LockCall): void {
    for (const letter of call.letters.slice(call.granted)) {
      if (this.owners.has(letter)) return void this.#queues.get(letter)!.push([call]);
      this.#grant(letter, call);
    }
    call.state = 'held';
  }

  #grant(letter: Letter, call: LockCall): void {
    this.owners.set(letter, call);
    this.history.get(letter)!.push(call);
    call.granted++;
  }

  #dequeue(letter: Letter, call: LockCall): void {
    const groups = this.#queues.get(letter)!.map((group) => group.filter((one) => one !== call));
    this.#queues.set(letter, groups.filter(isNotEmpty));
  }
}

function isNotEmpty(group: readonly LockCall[]): boolean {
  return group.length > 0;
}
