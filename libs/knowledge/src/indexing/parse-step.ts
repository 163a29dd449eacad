import { Inject, Injectable } from '@nestjs/common';
import { BLOB_STORE, type BlobStore } from '@yuxi/storage';

import { type FileType, ParseError } from '../text/index.js';
import type { FileState } from './file-state.js';
import { DocumentThreads } from './threads/document-threads.js';

/** Bytes to markdown. */
@Injectable()
export class ParseStep {
  constructor(
    @Inject(BLOB_STORE) private readonly blobs: BlobStore,
    @Inject(DocumentThreads) private readonly threads: DocumentThreads,
  ) {}

  /** @throws {ParseError} when the content is not of its type, or holds no text */
  async run({ contentHash, type, filename }: FileState, signal: AbortSignal): Promise<string> {
    const content = await this.blobs.get(contentHash);
    signal.throwIfAborted();
    const { markdown } = await this.threads.parse(type as FileType, content, signal);
    if (markdown.trim() === '') throw new ParseError(`${JSON.stringify(filename)} holds no text`);
    signal.throwIfAborted();
    return markdown;
  }
}
