import type { Lock, ReleaseResult } from '@yuxi/lock';
import { eventually } from '@yuxi/testing';

/** Names of locks, in the order in which they are taken. */
export const LETTERS = ['a', 'b', 'c'] as const;
export type Letter = (typeof LETTERS)[number];

/** One call that asks for names and waits for each in turn. */
export interface Claim {
  readonly letters: readonly Letter[];
  /** What the product answers. */
  readonly outcome: Promise<Lock>;
  /** Its answer, once it is there. */
  lock?: Lock;
  /** Ends the waiting. */
  readonly gone: AbortController;
  state: 'waiting' | 'held' | 'ended';
  /** How many of the letters it has been given. */
  given: number;
}

/** What must be true of the locks after each command: who has which name, and who waits for it in which order. */
export class LockModel {
  readonly claims: Claim[] = [];
  readonly owners = new Map<Letter, Claim>();
  /** All owners that a name has had, in their order, and fences that were written by hand. */
  readonly history = new Map<Letter, (Claim | number)[]>(LETTERS.map((letter) => [letter, []]));
  /** Groups in the order of service; within a group anybody may come first. */
  readonly #queues = new Map<Letter, Claim[][]>(LETTERS.map((letter) => [letter, []]));

  of(state: Claim['state']): Claim[] {
    return this.claims.filter((claim) => claim.state === state);
  }

  isFree(letters: readonly Letter[]): boolean {
    return letters.every((letter) => !this.owners.has(letter));
  }

  waiting(letter: Letter): number {
    return this.#queues.get(letter)!.flat().length;
  }

  /** Whether something that it was given has stopped being its own. */
  hasLost(claim: Claim): boolean {
    return claim.letters.slice(0, claim.given).some((letter) => this.owners.get(letter) !== claim);
  }

  enter(claim: Claim): void {
    this.claims.push(claim);
    this.#goOn(claim);
  }

  /** Gives back what it has, and its place in a queue. @returns what `release` must answer */
  async leave(claim: Claim): Promise<ReleaseResult> {
    const lost = this.hasLost(claim);
    claim.state = 'ended';
    const awaited = claim.letters[claim.given];
    if (awaited) this.#unqueue(awaited, claim);
    const served = await this.free(claim.letters.filter((letter) => this.owners.get(letter) === claim));
    if (lost) return 'lost';
    return served > 0 ? 'handed-off' : 'released';
  }

  /** Whoever is next gets them. @returns how many came in */
  async free(letters: readonly Letter[]): Promise<number> {
    for (const letter of letters) this.owners.delete(letter);
    const served: Claim[] = [];
    for (const letter of letters) {
      const next = await this.#next(letter);
      if (!next) continue;
      this.#unqueue(letter, next);
      this.#give(letter, next);
      served.push(next);
    }
    for (const claim of served) this.#goOn(claim);
    return served.length;
  }

  /** The data is lost: nobody has anything, and who waits queues again in any order. */
  async forget(): Promise<void> {
    // The clock alone keeps the fences growing, and it stands before what was written by hand.
    for (const [letter, fences] of this.history)
      if (fences.some((fence) => typeof fence === 'number')) this.history.set(letter, []);
    for (const [letter, groups] of this.#queues) this.#queues.set(letter, [groups.flat()].filter(someone));
    await this.free(LETTERS);
  }

  async #next(letter: Letter): Promise<Claim | undefined> {
    const [group] = this.#queues.get(letter)!;
    if (!group || group.length === 1) return group?.[0];
    // Only the product knows.
    const served = () => group.find(({ lock }) => lock) ?? false;
    return (await eventually(served, { every: 1, describe: `one of ${group.length} to get ${letter}` })) || undefined;
  }

  #goOn(claim: Claim): void {
    for (const letter of claim.letters.slice(claim.given)) {
      if (this.owners.has(letter)) return void this.#queues.get(letter)!.push([claim]);
      this.#give(letter, claim);
    }
    claim.state = 'held';
  }

  #give(letter: Letter, claim: Claim): void {
    this.owners.set(letter, claim);
    this.history.get(letter)!.push(claim);
    claim.given++;
  }

  #unqueue(letter: Letter, claim: Claim): void {
    const groups = this.#queues.get(letter)!.map((group) => group.filter((one) => one !== claim));
    this.#queues.set(letter, groups.filter(someone));
  }
}

function someone(group: readonly Claim[]): boolean {
  return group.length > 0;
}
