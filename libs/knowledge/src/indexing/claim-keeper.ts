import { CLAIM_SECONDS, type Claim, type FileClaims } from './claim.js';
import { ClaimLostError } from './indexing.errors.js';

const RENEW_MS = (CLAIM_SECONDS * 1000) / 3;

/** Renews a claim three times within its time until stopped. */
export class ClaimKeeper {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private renewal: Promise<void> = Promise.resolve();

  constructor(
    private readonly claims: FileClaims,
    private readonly claim: Claim,
  ) {
    this.timer = setInterval(() => {
      this.renewal = this.renew();
    }, RENEW_MS).unref();
  }

  /** Aborts with a {@link ClaimLostError} when somebody else has the file. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Afterwards no statement of the keeper is under way. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.renewal;
  }

  private async renew(): Promise<void> {
    try {
      if (!(await this.claims.renew(this.claim))) this.lose();
    } catch {
      // The database did not answer. Whether the claim still holds is decided by the finishing transaction.
    }
  }

  private lose(): void {
    clearInterval(this.timer);
    this.controller.abort(new ClaimLostError(this.claim.fileId));
  }
}
