import { Injectable } from '@nestjs/common';
import { Semaphore } from '@yuxi/core';

import { LargeDocumentsBusyError } from './indexing.errors.js';

/** A document is large from so many bytes on: a larger one takes up to ten times its size in memory while it is read and cut. */
export const LARGE_DOCUMENT = 1024 * 1024;

/** Lets a process read, cut and index one large document at a time, which bounds its memory; small ones pass beside it. */
@Injectable()
export class LargeDocuments {
  readonly #semaphore = new Semaphore(1);

  /**
   * @param size of the document, bytes
   * @returns what ends the turn of the document
   * @throws {LargeDocumentsBusyError} while another one has its turn, unless `wait` is given; the reason of `signal`
   */
  async enter(size: number, { signal, wait = false }: { signal: AbortSignal; wait?: boolean }): Promise<Disposable> {
    const leave =
      size < LARGE_DOCUMENT
        ? () => undefined
        : wait
          ? await this.#semaphore.acquire(signal)
          : this.#semaphore.tryAcquire();
    if (!leave) throw new LargeDocumentsBusyError();
    return { [Symbol.dispose]: leave };
  }
}
