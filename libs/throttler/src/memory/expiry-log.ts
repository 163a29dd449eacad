/** Times at which hits leave, in order. Adding and dropping cost O(1) as long as all hits live equally long. */
export class ExpiryLog {
  used = false;
  #times: number[] = [];
  #first = 0;

  get size(): number {
    return this.#times.length - this.#first;
  }

  /** When the next hit leaves. */
  get oldest(): number | undefined {
    return this.#times[this.#first];
  }

  get newest(): number | undefined {
    return this.size > 0 ? this.#times[this.#times.length - 1] : undefined;
  }

  add(expiresAt: number): void {
    let at = this.#times.length;
    while (at > this.#first && this.#times[at - 1]! > expiresAt) at--;
    this.#times.splice(at, 0, expiresAt);
  }

  /** Drops what has left by `now`. */
  prune(now: number): void {
    while (this.#first < this.#times.length && this.#times[this.#first]! <= now) this.#first++;
    if (this.#first * 2 <= this.#times.length) return;
    this.#times = this.#times.slice(this.#first);
    this.#first = 0;
  }

  /** Takes one hit back. */
  remove(expiresAt: number): boolean {
    const at = this.#times.lastIndexOf(expiresAt);
    if (at < this.#first) return false;
    this.#times.splice(at, 1);
    return true;
  }

  clear(): void {
    this.#times = [];
    this.#first = 0;
  }
}
