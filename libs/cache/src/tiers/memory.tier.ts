import { LRUCache } from 'lru-cache';
import type { CachedVector } from '../vector/codec.js';

/** What an entry takes beside the numbers, bytes, roughly. */
const OVERHEAD = 400;

/** Vectors in the process, the least used of them go when there are too many. */
export class MemoryTier {
  readonly #vectors?: LRUCache<string, CachedVector>;

  /** @param bytes 0: keeps nothing */
  constructor(bytes: number) {
    if (bytes > 0)
      this.#vectors = new LRUCache({ maxSize: bytes, sizeCalculation: ({ vector }) => vector.byteLength + OVERHEAD });
  }

  get(key: string): CachedVector | undefined {
    return this.#vectors?.get(key);
  }

  put(key: string, vector: CachedVector): void {
    this.#vectors?.set(key, vector);
  }

  get bytes(): number {
    return this.#vectors?.calculatedSize ?? 0;
  }
}
