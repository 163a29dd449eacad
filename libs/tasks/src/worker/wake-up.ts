import { Injectable } from '@nestjs/common';

/** Tells the worker of the same process that there is something to do, without waiting for its next look. */
@Injectable()
export class WakeUp {
  private readonly claims: (() => void)[] = [];
  private readonly beats: (() => void)[] = [];

  listen(claim: () => void, beat?: () => void): void {
    this.claims.push(claim);
    if (beat) this.beats.push(beat);
  }

  /** A task may be ready. */
  poke(): void {
    for (const claim of this.claims) claim();
  }

  /** A running task may have been cancelled. */
  pokeBeat(): void {
    for (const beat of this.beats) beat();
  }
}
