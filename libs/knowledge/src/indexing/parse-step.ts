import { Inject, Injectable } from '@nestjs/common';
import { BLOB_STORE, type BlobStore } from '@yuxi/storage';

import { type FileType, parse, ParseError } from '../text/index.js';
import { FileClaims } from './claim.js';
import { ClaimedRun } from './claimed-run.js';
import type { FileState } from './file-state.js';
import { ClaimLostError } from './indexing.errors.js';

/** Bytes to markdown. */
@Injectable()
export class ParseStep {
  constructor(
    @Inject(BLOB_STORE) private readonly blobs: BlobStore,
    private readonly run: ClaimedRun,
    private readonly claims: FileClaims,
  ) {}

  /** @returns whether it was done here; `false` when the claim was refused. */
  async perform(file: FileState, taskSignal: AbortSignal): Promise<boolean> {
    const { id, fileId } = file;
    const done = await this.run.under({ stage: 'parsing', id, fileId }, taskSignal, async (claim, signal) => {
      const content = await this.blobs.get(file.contentHash);
      signal.throwIfAborted();
      const { markdown } = await parse(file.type as FileType, content);
      if (markdown.trim() === '') throw new ParseError(`${JSON.stringify(file.filename)} holds no text`);
      signal.throwIfAborted();
      if (!(await this.claims.finishParsing(claim, markdown))) throw new ClaimLostError(fileId);
      return true;
    });
    return done ?? false;
  }
}
