import { randomBytes } from 'node:crypto';

/** Numbers the hits of this process. With its nonce, new at each start, a number is unique among all processes. */
export class HitIds {
  /** As long as `lua/hits.lua` expects. */
  readonly nonce = randomBytes(6).toString('base64url').slice(0, 6);
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}

export function idOf(nonce: string, number: number): string {
  return `${nonce}.${number.toString(36)}`;
}
