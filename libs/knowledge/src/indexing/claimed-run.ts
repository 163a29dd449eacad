import { Inject, Injectable, Logger } from '@nestjs/common';
import { isStorageFull, Periodic, YuxiError } from '@yuxi/core';
import { LockService } from '@yuxi/lock';
import { STORAGE_SPACE, type StorageSpace } from '@yuxi/storage';

import { CLAIM_SECONDS, type Claim, type ClaimRequest, FileClaims } from './claim.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { ClaimLostError } from './indexing.errors.js';

/** Runs work on a file under a claim, and leaves the file in an honest state however it ends. */
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
   * @param body gets a signal that aborts with the task, with the lock, and with the loss of the claim.
   * @returns what `body` made, or `null` when the claim was refused.
   * @throws {StorageFullError} when there is no room for what is made of the file; it stays as it was
   */
  async under<T>(
    request: Omit<ClaimRequest, 'fence'>,
    taskSignal: AbortSignal,
    body: (claim: Claim, signal: AbortSignal) => Promise<T>,
  ): Promise<T | null> {
    const lock = this.locks.current();
    taskSignal.throwIfAborted();
    (await this.space.take())();
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

  /** A run that was stopped, or had no room, leaves the file as it was; one that failed leaves the reason. */
  async #close(claim: Claim, error: unknown, asItWas: boolean): Promise<void> {
    if (error instanceof ClaimLostError) return;
    try {
      if (asItWas) await this.claims.abandon(claim);
      else await this.claims.fail(claim, this.#reason(claim, error));
    } catch (second) {
      this.#logger.warn(`File ${claim.fileId} stays claimed until its time is over: ${String(second)}`);
    }
  }

  #reason(claim: Claim, error: unknown): string {
    if (error instanceof YuxiError) return error.message;
    this.#logger.error(`Work on file ${claim.fileId} failed`, error instanceof Error ? error.stack : error);
    return 'failed for an internal reason; it is in the log of the worker';
  }
}

const RENEW_MS = (CLAIM_SECONDS * 1000) / 3;

/** Renews a claim three times within its time until stopped. */
class ClaimKeeper {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #renewal: Promise<void> = Promise.resolve();

  constructor(
    private readonly claims: FileClaims,
    private readonly claim: Claim,
  ) {
    this.#timer = setInterval(() => {
      this.#renewal = this.#renew();
    }, RENEW_MS).unref();
  }

  /** Aborts with a {@link ClaimLostError} when somebody else has the file. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Afterwards no statement of the keeper is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewal;
  }

  async #renew(): Promise<void> {
    try {
      if (!(await this.claims.renew(this.claim))) this.#lose();
    } catch {
      // The database did not answer. Whether the claim still holds is decided by the finishing transaction.
    }
  }

  #lose(): void {
    clearInterval(this.#timer);
    this.#controller.abort(new ClaimLostError(this.claim.fileId));
  }
}
