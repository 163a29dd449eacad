import { YuxiError } from '@yuxi/core';

/** Somebody else works on the file. */
export class ClaimBusyError extends YuxiError {
  constructor(fileId: string) {
    super(`File ${fileId} is being worked on by another run`, { code: 'CLAIM_BUSY', retryable: true });
  }
}

/** Somebody else has taken the file over, or it was deleted: nothing of this run may be written. */
export class ClaimLostError extends YuxiError {
  constructor(fileId: string, cause?: unknown) {
    super(`File ${fileId} was taken over or deleted while this run worked on it`, {
      code: 'CLAIM_LOST',
      retryable: true,
      cause,
    });
  }
}
