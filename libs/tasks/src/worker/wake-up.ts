import { Injectable } from '@nestjs/common';

/** Notifies the workers of this process of a change, so that they do not wait for their next poll. */
@Injectable()
export class WakeUp {
  readonly #claims: (() => void)[] = [];
  readonly #heartbeats: (() => void)[] = [];

  listen(claim: () => void, heartbeat?: () => void): void {
    this.#claims.push(claim);
    if (heartbeat) this.#heartbeats.push(heartbeat);
  }

  /** A task may be ready. */
  notify(): void {
    for (const claim of this.#claims) claim();
  }

  /** A running task may have been cancelled. */
  notifyHeartbeat(): void {
    for (const heartbeat of this.#heartbeats) heartbeat();
  }
}
