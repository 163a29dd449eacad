import { Injectable } from '@nestjs/common';
import { Semaphore } from '@yuxi/core';

import { LargeDocumentsBusyError } from './indexing.errors.js';

/** Bytes from which a document is large. Parsing and chunking need up to ten times its size in memory. */
const LARGE_DOCUMENT = 1024 * 1024;

/** Admits one large document at a time in each process, which limits its memory. Small documents do not wait. */
@Injectable()
export class LargeDocuments {
  readonly #semaphore = new Semaphore(1);

  /**
   * @param size of the document, bytes
   * @returns disposing it admits the next document
   * @throws {LargeDocumentsBusyError} while another one is processed, unless `wait` is given; the reason of `signal`
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
