export type Grant = { fence: number | null };
export type Refusal = { expiresInMs: number | null };

/** Where a lock lives. Rejections mean that the store could not be asked; the answer is then unknown. */
export interface LockStore {
  /** Locks of this store exclude only callers of this process. */
  readonly degraded: boolean;
  acquire(key: string, token: string, ttlMs: number): Promise<Grant | Refusal>;
  /** @returns whether the key was still held by the token */
  renew(key: string, token: string, ttlMs: number): Promise<boolean>;
  /** @returns whether the key was still held by the token */
  release(key: string, token: string): Promise<boolean>;
}
