import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';

/** Seconds until a claim expires without renewal. */
export const CLAIM_SECONDS = 10;

export type Stage = 'parsing' | 'indexing';

/** The right of one run to write one file. The number in the row decides, whatever a process assumes. */
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
  /** Fencing token of the lock; `null` without a lock. */
  fence: number | null;
  /** Task of the run; absent outside of tasks. */
  taskId?: string;
  /** A file whose index has this fingerprint is not claimed, unless `force`. */
  fingerprint?: string;
  force?: boolean;
}

const CLAIMABLE: Record<Stage, readonly string[]> = {
  parsing: ['uploaded', 'error_parsing'],
  indexing: ['parsed', 'indexed', 'error_indexing'],
};

/**
 * The protocol that makes indexing correct with or without a lock. One statement takes a claim for a limited time and counts it. The
 * finishing transaction requires that the claim still has the last number.
 */
@Injectable()
export class FileClaims {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /**
   * A live claim is taken over only with a newer fencing token, because then the first run is dead or has lost the lock. It is also taken
   * over by a later run of the same task, which starts only when the earlier run is dead.
   * @returns `null` when refused: there is a live claim, nothing to do, or no file.
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

  /** @returns whether the run still has the claim. */
  async renew(claim: Claim): Promise<boolean> {
    return this.#write(claim, 'claim_until = now() + make_interval(secs => $3::int)', [CLAIM_SECONDS]);
  }

  /** Ends the claim with an error that the user sees. */
  async fail(claim: Claim, message: string): Promise<boolean> {
    return this.#write(claim, `status = 'error_' || status, error = $3::text, claim_until = NULL`, [message]);
  }

  /** Ends the claim and restores the status, so that the next run need not wait. */
  async abandon(claim: Claim): Promise<boolean> {
    return this.#write(
      claim,
      `status = CASE WHEN markdown IS NULL THEN 'uploaded' WHEN fingerprint IS NULL THEN 'parsed' ELSE 'indexed' END,
       claim_until = NULL`,
    );
  }

  /** Ends the claim of a request that only parses. */
  async finishParsing(claim: Claim, markdown: string): Promise<boolean> {
    return this.#write(claim, `status = 'parsed', markdown = $3::text, claim_until = NULL`, [markdown]);
  }

  /** Continues from parsing to indexing under the same claim: no other run can start between them, and one statement less is needed. */
  async startIndexing(claim: Claim, markdown: string): Promise<boolean> {
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
