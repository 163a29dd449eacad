import { YuxiError } from '@yuxi/core';

/** Another run works on the file. */
export class ClaimBusyError extends YuxiError {
  constructor(fileId: string) {
    super(`File ${fileId} is in use by another run; the task tries again`, { code: 'CLAIM_BUSY', retryable: true });
  }
}

/** Another run has taken the file over, or the file was deleted. This run must not write anything. */
export class ClaimLostError extends YuxiError {
  constructor(fileId: string, cause?: unknown) {
    super(`File ${fileId} was taken over or deleted while this run worked on it`, {
      code: 'CLAIM_LOST',
      retryable: true,
      cause,
    });
  }
}

/** This process works on another large document, and accepts one at a time. */
export class LargeDocumentsBusyError extends YuxiError {
  constructor() {
    super('This process works on another large document; the task tries again', {
      code: 'LARGE_DOCUMENTS_BUSY',
      retryable: true,
    });
  }
}

/** The document has more chunks or terms than one document may have. */
export class DocumentTooLargeError extends YuxiError {
  constructor(message: string) {
    super(message, { code: 'DOCUMENT_TOO_LARGE' });
  }

  static chunks(count: number, limit: number): DocumentTooLargeError {
    const rule = `The document has ${count} chunks, more than the ${limit} of the setting max_document_chunks`;
    return new DocumentTooLargeError(`${rule}: use larger chunks, or split it into several documents`);
  }

  static terms(count: number, limit: number): DocumentTooLargeError {
    const rule = `The document has about ${count} terms to index, more than the ${limit} of the setting max_document_terms`;
    return new DocumentTooLargeError(`${rule}: split it into several documents`);
  }
}
