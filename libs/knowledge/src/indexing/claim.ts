import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';

/** How long a claim holds without renewal, seconds. */
export const CLAIM_SECONDS = 10;

export type Stage = 'parsing' | 'indexing';

/** One run's hold on one file: the number of the claim decides, not the process that thinks it has it. */
export interface Claim {
  /** `files.id`. */
  readonly id: number;
  /** Public handle. */
  readonly fileId: string;
  readonly number: number;
}

export interface ClaimRequest {
  stage: Stage;
  id: number;
  fileId: string;
  /** Fence of the lock held; `null` without one. */
  fence: number | null;
  /** Task that wants it; absent outside of tasks. */
  taskId?: string;
  /** An index with this fingerprint is left alone, unless `force`. */
  fingerprint?: string;
  force?: boolean;
}

const CLAIMABLE: Record<Stage, readonly string[]> = {
  parsing: ['uploaded', 'error_parsing'],
  indexing: ['parsed', 'indexed', 'error_indexing'],
};

/**
 * The protocol that makes indexing correct with or without a lock: a claim is taken by one statement, for a limited
 * time, and counted; whoever finishes must still have the last number.
 */
@Injectable()
export class FileClaims {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /**
   * A live claim refuses the second comer, unless that one holds the lock with a newer fence: then the first is dead
   * or has lost it. The same holds for a later run of the same task, which is only begun when the earlier one is dead.
   * @returns `null` when refused: a live claim, nothing to do, or the file is gone.
   */
  async take({
    stage,
    id,
    fileId,
    fence,
    taskId,
    fingerprint = '',
    force = false,
  }: ClaimRequest): Promise<Claim | null> {
    const { rows } = await this.sql.query<{ claim: number }>(
      `UPDATE files SET claim = claim + 1, claim_until = now() + make_interval(secs => $4::int), fence = $3::bigint,
         claimed_by = $10::text, status = $2::text, error = NULL, updated_at = now()
       WHERE id = $1::int AND (markdown IS NULL) = ($2::text = 'parsing')
         AND (status = ANY($5::text[]) OR $9::boolean
           OR (status IN ('parsing', 'indexing')
             AND (claim_until IS NULL OR claim_until < now() OR $3::bigint > fence OR claimed_by = $10::text)))
         AND (status <> 'indexed' OR fingerprint IS DISTINCT FROM $6::text OR $7::boolean OR $8::boolean)
       RETURNING claim`,
      [
        id,
        stage,
        fence,
        CLAIM_SECONDS,
        CLAIMABLE[stage],
        fingerprint,
        force,
        this.hooks.broken.has('fingerprint'),
        this.hooks.broken.has('claim'),
        taskId ?? null,
      ],
    );
    return rows[0] ? { id, fileId, number: rows[0].claim } : null;
  }

  /** @returns whether the claim is still ours. */
  async renew(claim: Claim): Promise<boolean> {
    return this.#write(claim, 'claim_until = now() + make_interval(secs => $3::int)', [CLAIM_SECONDS]);
  }

  /** Ends the claim with an error that the user sees. */
  async fail(claim: Claim, message: string): Promise<boolean> {
    return this.#write(claim, `status = 'error_' || status, error = $3::text, claim_until = NULL`, [message]);
  }

  /** Ends the claim as if it had not been taken: the next comer need not wait. */
  async abandon(claim: Claim): Promise<boolean> {
    return this.#write(
      claim,
      `status = CASE WHEN markdown IS NULL THEN 'uploaded' WHEN fingerprint IS NULL THEN 'parsed' ELSE 'indexed' END,
       claim_until = NULL`,
    );
  }

  /** Ends the claim of a file that was only to be parsed. */
  async finishParsing(claim: Claim, markdown: string): Promise<boolean> {
    return this.#write(claim, `status = 'parsed', markdown = $3::text, claim_until = NULL`, [markdown]);
  }

  /** Goes on from parsing to indexing under the same claim: nobody comes in between, and one statement is spared. */
  async goOnToIndexing(claim: Claim, markdown: string): Promise<boolean> {
    const assignments = `status = 'indexing', markdown = $3::text, claim_until = now() + make_interval(secs => $4::int)`;
    return this.#write(claim, assignments, [markdown, CLAIM_SECONDS]);
  }

  async #write(claim: Claim, assignments: string, params: readonly unknown[] = []): Promise<boolean> {
    const { rows } = await this.sql.query(
      `UPDATE files SET ${assignments}, updated_at = now()
       WHERE id = $1::int AND claim = $2::int AND claim_until IS NOT NULL RETURNING 1`,
      [claim.id, claim.number, ...params],
    );
    return rows.length > 0;
  }
}
