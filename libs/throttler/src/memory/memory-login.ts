import { BoundedMap } from './bounded-map.js';
import { ExpiryLog } from './expiry-log.js';
import { MAX_KEYS } from '../shadow/shadow.js';

export interface MemoryAttempt {
  /** Identifies the attempt for a refund. */
  expiresAt: number;
  /** Set when refused: ms until the next attempt is possible. */
  retryMs?: number;
}

/** The decisions of `lua/login-reserve.lua`, for one process. */
export class MemoryLogin {
  readonly #logs: BoundedMap<ExpiryLog>;

  /** @param clock milliseconds, monotonic */
  constructor(
    private readonly clock: () => number,
    private readonly limit: number,
    private readonly windowMs: number,
    maxKeys = MAX_KEYS,
  ) {
    this.#logs = new BoundedMap(maxKeys, (log, now) => (log.newest ?? 0) <= now);
  }

  reserve(address: string): MemoryAttempt {
    const now = this.clock();
    const log = this.#logs.take(address, now, () => new ExpiryLog());
    log.prune(now);
    const expiresAt = now + this.windowMs;
    if (log.size >= this.limit) return { expiresAt, retryMs: log.oldest! - now };
    log.add(expiresAt);
    return { expiresAt };
  }

  refund(address: string, expiresAt: number): void {
    this.#logs.peek(address)?.remove(expiresAt);
  }
}
