import { createRequire } from 'node:module';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Semaphore, YuxiError } from '@yuxi/core';
import { Piscina } from 'piscina';
import { type FileType, ParseError, type ParsedDocument } from '../../text/index.js';
import type { CutOrder } from './cut-document.js';
import { type Cutting, FinishedCutting, SteppedCutting } from './cutting.js';
import type { CutTask, ParseOrder, WholeCut } from './document.thread.js';
import { accepted, type Refusal } from './refusal.js';

const KEEP_IDLE = 30_000;
const MEGABYTE = 1024 * 1024;
/** A shorter document is cut in one go, UTF-16 units: it makes few steps, and messages back and forth cost more than it does. */
const ONE_ANSWER = 32 * 1024;

export interface DocumentThreadLimits {
  /** Threads, each with one document at a time. Default 2. */
  threads?: number;
  /** Longest time to read a document, and to cut it up to the next step, milliseconds. Default 1 min. */
  time?: number;
  /** Heap of a thread, MB. Default 512. */
  memory?: number;
}

/**
 * Reads, cuts and analyses documents in threads of their own, so that a hostile or enormous one neither holds up requests nor takes the
 * process down: what takes too long or too much is ended with its thread. Threads are begun with the first document and end when idle.
 */
@Injectable()
export class DocumentThreads implements OnApplicationShutdown {
  readonly #pool: Piscina;
  readonly #limits: Required<DocumentThreadLimits>;
  /** Whoever waits for a thread waits here, where the time of the document does not count yet. */
  readonly #places: Semaphore;

  constructor({ threads = 2, time = 60_000, memory = 512 }: DocumentThreadLimits = {}) {
    this.#limits = { threads, time, memory };
    this.#places = new Semaphore(threads);
    this.#pool = new Piscina({
      // By the name of the package, so that tests, which run the sources, find the compiled thread too.
      filename: createRequire(import.meta.url).resolve('@yuxi/knowledge/document-thread'),
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: KEEP_IDLE,
      resourceLimits: { maxOldGenerationSizeMb: memory },
    });
  }

  /**
   * @param content cannot be read afterwards: it goes to the thread, and is not copied
   * @param signal ends the thread too
   * @throws {ParseError} {@link UnsupportedTypeError} as `parse`, the former also beyond a limit; the reason of the signal
   */
  parse(type: FileType, content: Uint8Array, signal?: AbortSignal): Promise<ParsedDocument> {
    const order: ParseOrder = { type, content };
    return this.#run<ParsedDocument>('parse', order, content.byteLength, transferable(content), signal);
  }

  /**
   * Cuts a document into chunks and analyses those that are not known yet. The caller disposes of what it gets.
   * @param signal ends the thread too
   * @throws {DocumentTooLargeError}, here or at a step; {@link ParseError} beyond a limit of the thread; the reason of the signal
   */
  async cut(order: CutOrder, signal: AbortSignal): Promise<Cutting> {
    const size = order.markdown.length;
    if (size <= ONE_ANSWER) return new FinishedCutting(await this.#run<WholeCut>('cutWhole', order, size, [], signal));
    const leave = await this.#places.acquire(signal);
    const start = (task: CutTask, stop: AbortSignal) =>
      this.#pool.run(task, {
        name: 'cut',
        signal: AbortSignal.any([signal, stop]),
        transferList: [task.port],
      }) as Promise<void>;
    const explain = (error: unknown, late: boolean) => {
      if (signal.aborted) return signal.reason as unknown;
      return this.#explain(error, size, late);
    };
    return SteppedCutting.begin(order, start, { time: this.#limits.time, explain, leave });
  }

  /** After tasks were handed back: one that loses its thread would take that for a fault of the document. */
  async onApplicationShutdown(): Promise<void> {
    await this.#pool.destroy();
  }

  async #run<T>(
    name: string,
    order: unknown,
    size: number,
    transferList: ArrayBuffer[],
    signal?: AbortSignal,
  ): Promise<T> {
    const leave = await this.#places.acquire(signal);
    const late = AbortSignal.timeout(this.#limits.time);
    const stop = signal ? AbortSignal.any([signal, late]) : late;
    try {
      return accepted((await this.#pool.run(order, { name, signal: stop, transferList })) as T | Refusal);
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#explain(error, size, late.aborted);
    } finally {
      leave();
    }
  }

  #explain(error: unknown, size: number, late: boolean): unknown {
    const { time, memory } = this.#limits;
    if (error instanceof YuxiError) return error;
    const what = `The document of ${(size / MEGABYTE).toFixed(1)} MB takes more than`;
    if (late) return new ParseError(`${what} ${time / 1000} s to read: split it into smaller ones`, error);
    if ((error as { code?: unknown }).code === 'ERR_WORKER_OUT_OF_MEMORY')
      return new ParseError(`${what} ${memory} MB of memory to read: split it into smaller ones`, error);
    return error;
  }
}

/** A small buffer is a part of one that others use, and is copied. */
function transferable({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
