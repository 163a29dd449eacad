export interface TurnParts {
  /** Milliseconds until there is something to say, 0 for now; Infinity: not before the next {@link Turns.kick}. */
  due: () => number;
  /** Must not reject. */
  turn: () => Promise<void>;
  /** What a turn has brought can begin. */
  rest: () => void;
}

/** Takes turns, one at a time, when there is something to say. */
export class Turns {
  #scheduled = false;
  #busy = false;
  #later = false;

  constructor(private readonly parts: TurnParts) {}

  get busy(): boolean {
    return this.#busy;
  }

  /** Something may have become due. */
  kick(): void {
    if (this.#scheduled || this.#busy) return;
    this.#scheduled = true;
    // What ends in one turn of the event loop goes together.
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#isDue()) void this.#take();
    });
  }

  async #take(): Promise<void> {
    const { turn, rest } = this.parts;
    this.#busy = true;
    await turn();
    this.#busy = false;
    if (!this.#isDue()) return rest();
    // The next turn is on its way before what this one has brought begins.
    this.kick();
    setImmediate(rest);
  }

  #isDue(): boolean {
    const ms = this.parts.due();
    if (ms > 0 && ms < Infinity) this.#kickIn(ms);
    return ms <= 0;
  }

  #kickIn(ms: number): void {
    if (this.#later) return;
    this.#later = true;
    setTimeout(() => {
      this.#later = false;
      this.kick();
    }, ms);
  }
}
