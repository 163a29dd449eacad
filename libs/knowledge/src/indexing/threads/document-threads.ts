import { createRequire } from 'node:module';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Semaphore, YuxiError } from '@yuxi/core';
import { Piscina } from 'piscina';
import { type FileType, ParseError, type ParsedDocument } from '../../text/index.js';
import type { CutOrder } from './cut-document.js';
import { type Cutting, FinishedCutting, SteppedCutting } from './cutting.js';
import type { CutTask, ParseOrder, WholeCut } from './document.thread.js';
import { accepted, type Refusal } from './refusal.js';

const IDLE_TIMEOUT = 30_000;
const MEGABYTE = 1024 * 1024;
/** UTF-16 units up to which a document is divided in one call: it has few steps, and messages would cost more than the work. */
const ONE_ANSWER = 32 * 1024;

export interface DocumentThreadLimits {
  /** Number of threads; each processes one document at a time. Default 2. */
  threads?: number;
  /** Longest time to parse a document, or to make the next step of chunks, milliseconds. Default 1 min. */
  time?: number;
  /** Heap of a thread, MB. Default 512. */
  memory?: number;
}

/**
 * Parses, divides and analyses documents in threads, so that a hostile or very large one neither delays requests nor ends the process. A
 * document that exceeds the limits of time or memory is stopped together with its thread. Threads start on demand and end when idle.
 */
@Injectable()
export class DocumentThreads implements OnApplicationShutdown {
  readonly #pool: Piscina;
  readonly #limits: Required<DocumentThreadLimits>;
  /** Free threads. The time limit of a document starts after the wait for a slot. */
  readonly #slots: Semaphore;

  constructor({ threads = 2, time = 60_000, memory = 512 }: DocumentThreadLimits = {}) {
    this.#limits = { threads, time, memory };
    this.#slots = new Semaphore(threads);
    this.#pool = new Piscina({
      // By package name, so that tests, which run the sources, also find the compiled thread.
      filename: createRequire(import.meta.url).resolve('@yuxi/knowledge/document-thread'),
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: IDLE_TIMEOUT,
      resourceLimits: { maxOldGenerationSizeMb: memory },
    });
  }

  /**
   * @param content moves to the thread without a copy, so the caller cannot use it afterwards
   * @param signal also stops the thread
   * @throws {ParseError} {@link UnsupportedTypeError} as `parse`; the former also when a limit is exceeded; the reason of the signal
   */
  parse(type: FileType, content: Uint8Array, signal?: AbortSignal): Promise<ParsedDocument> {
    const order: ParseOrder = { type, content };
    return this.#run<ParsedDocument>('parse', order, content.byteLength, transferable(content), signal);
  }

  /**
   * Divides a document into chunks and analyses those that are not known. The caller must dispose of the result.
   * @param signal also stops the thread
   * @throws {DocumentTooLargeError}, here or at a step; {@link ParseError} when a limit is exceeded; the reason of the signal
   */
  async cut(order: CutOrder, signal: AbortSignal): Promise<Cutting> {
    const size = order.markdown.length;
    if (size <= ONE_ANSWER) return new FinishedCutting(await this.#run<WholeCut>('cutWhole', order, size, [], signal));
    const leave = await this.#slots.acquire(signal);
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

  /** Runs after tasks were returned to the queue. Otherwise a task would report the end of its thread as an error of the document. */
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
    const leave = await this.#slots.acquire(signal);
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
    if (late) return new ParseError(`${what} ${time / 1000} s to read: split it into smaller documents`, error);
    if ((error as { code?: unknown }).code === 'ERR_WORKER_OUT_OF_MEMORY')
      return new ParseError(`${what} ${memory} MB of memory to read: split it into smaller documents`, error);
    return error;
  }
}

/** A small buffer is part of a shared one, and is copied. */
function transferable({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
