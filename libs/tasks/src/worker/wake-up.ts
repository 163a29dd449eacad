import { Injectable } from '@nestjs/common';

/** Tells the worker of the same process that there is something to do, without waiting for its next look. */
@Injectable()
export class WakeUp {
  private claim: () => void = () => undefined;
  private beat: () => void = () => undefined;

  listen(claim: () => void, beat: () => void): void {
    this.claim = claim;
    this.beat = beat;
  }

  /** A task may be ready. */
  poke(): void {
    this.claim();
  }

  /** A running task may have been cancelled. */
  pokeBeat(): void {
    this.beat();
  }
}
