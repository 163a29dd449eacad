import { Inject, Injectable, Logger } from '@nestjs/common';
import { isStorageFull, Periodic, YuxiError } from '@yuxi/core';
import { LockService } from '@yuxi/lock';
import { STORAGE_SPACE, type StorageSpace } from '@yuxi/storage';

import { CLAIM_SECONDS, type Claim, type ClaimRequest, FileClaims } from './claim.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { ClaimLostError } from './indexing.errors.js';

/** Runs work on a file under a claim, and sets the status of the file when the work ends or fails. */
@Injectable()
export class ClaimedRun {
  readonly #logger = new Logger(ClaimedRun.name);

  constructor(
    private readonly claims: FileClaims,
    private readonly locks: LockService,
    @Inject(STORAGE_SPACE) private readonly space: StorageSpace,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /**
   * @param body gets a signal that aborts when the task is stopped, or when the lock or the claim is lost.
   * @returns the result of `body`, or `null` when the claim was refused.
   * @throws {StorageFullError} when there is no space for the index; the file stays unchanged
   */
  async withClaim<T>(
    request: Omit<ClaimRequest, 'fence'>,
    taskSignal: AbortSignal,
    body: (claim: Claim, signal: AbortSignal) => Promise<T>,
  ): Promise<T | null> {
    const lock = this.locks.current();
    taskSignal.throwIfAborted();
    (await this.space.reserve())();
    await this.hooks.at('before-claim', request.fileId);
    const claim = await this.claims.take({ ...request, fence: lock?.fence ?? null });
    if (!claim) return null;
    const keeper = new ClaimKeeper(this.claims, claim);
    const outside = lock ? [taskSignal, lock.signal] : [taskSignal];
    const signal = AbortSignal.any([...outside, keeper.signal]);
    try {
      await this.hooks.at('after-claim', request.fileId);
      signal.throwIfAborted();
      return await body(claim, signal);
    } catch (error) {
      await keeper.stop();
      await this.#close(claim, error, signal.aborted || isStorageFull(error));
      throw error;
    } finally {
      await keeper.stop();
    }
  }

  /** Restores the status after a stop or without free space; records the reason of any other error. */
  async #close(claim: Claim, error: unknown, isUnchanged: boolean): Promise<void> {
    if (error instanceof ClaimLostError) return;
    try {
      if (isUnchanged) await this.claims.abandon(claim);
      else await this.claims.fail(claim, this.#reason(claim, error));
    } catch (second) {
      this.#logger.warn(`File ${claim.fileId} stays claimed until its claim expires: ${String(second)}`);
    }
  }

  #reason(claim: Claim, error: unknown): string {
    if (error instanceof YuxiError) return error.message;
    this.#logger.error(`Work on file ${claim.fileId} failed`, error instanceof Error ? error.stack : error);
    return 'The file could not be processed because of an internal error; the log of the worker has the details';
  }
}

const RENEW_MS = (CLAIM_SECONDS * 1000) / 3;

/** Renews a claim after each third of its time, until stopped. */
class ClaimKeeper {
  readonly #controller = new AbortController();
  // A renewal is not awaited: one on a dead connection must not stop the next one.
  readonly #renewals = new Periodic(() => void (this.#renewal = this.#renew()), { every: RENEW_MS, jitter: 0 });
  #renewal: Promise<void> = Promise.resolve();

  constructor(
    private readonly claims: FileClaims,
    private readonly claim: Claim,
  ) {
    this.#renewals.start();
  }

  /** Aborts with a {@link ClaimLostError} when another run has the file. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves when the latest renewal has ended. */
  async stop(): Promise<void> {
    await this.#renewals.stop();
    await this.#renewal;
  }

  async #renew(): Promise<void> {
    try {
      if (await this.claims.renew(this.claim)) return;
    } catch {
      // The database did not answer. The finishing transaction decides whether the claim is still valid.
      return;
    }
    this.#controller.abort(new ClaimLostError(this.claim.fileId));
    void this.#renewals.stop();
  }
}
