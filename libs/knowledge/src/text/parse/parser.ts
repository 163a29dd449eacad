import { createRequire } from 'node:module';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Piscina } from 'piscina';
import type { FileType } from './detect.js';
import { ParseError, UnsupportedTypeError } from './errors.js';
import type { ParsedDocument } from './parse.js';
import type { ParseAnswer, ParseOrder } from './parse.thread.js';

const KEEP_IDLE = 30_000;
const MEGABYTE = 1024 * 1024;

export interface ParserLimits {
  /** Threads, each with one document at a time. Default 2. */
  threads?: number;
  /** Longest time for one document, milliseconds. Default 1 min. */
  time?: number;
  /** Heap of a thread, MB. Default 512. */
  memory?: number;
}

/**
 * Parses documents in threads of their own, so that a hostile or enormous one neither holds up requests nor takes the process down:
 * what takes too long or too much is ended with its thread. Threads are begun with the first document and end when idle.
 */
@Injectable()
export class Parser implements OnApplicationShutdown {
  readonly #pool: Piscina<ParseOrder, ParseAnswer>;
  readonly #limits: Required<ParserLimits>;

  constructor({ threads = 2, time = 60_000, memory = 512 }: ParserLimits = {}) {
    this.#limits = { threads, time, memory };
    this.#pool = new Piscina({
      // By the name of the package, so that tests, which run the sources, find the compiled thread too.
      filename: createRequire(import.meta.url).resolve('@yuxi/knowledge/parse-thread'),
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: KEEP_IDLE,
      resourceLimits: { maxOldGenerationSizeMb: memory },
    });
  }

  /**
   * @param signal ends the thread too
   * @throws {ParseError} {@link UnsupportedTypeError} as {@link parse}, the former also beyond a limit; the reason of the signal
   */
  async parse(type: FileType, content: Uint8Array, signal?: AbortSignal): Promise<ParsedDocument> {
    const late = AbortSignal.timeout(this.#limits.time);
    const stop = signal ? AbortSignal.any([signal, late]) : late;
    let answer: ParseAnswer;
    try {
      answer = await this.#pool.run({ type, content }, { signal: stop });
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#explain(error, content.byteLength, late.aborted);
    }
    if (!('refused' in answer)) return answer;
    const { code, message } = answer.refused;
    throw code === 'UNSUPPORTED_TYPE' ? new UnsupportedTypeError(message) : new ParseError(message);
  }

  /** After tasks were handed back: one that loses its thread would take that for a fault of the document. */
  async onApplicationShutdown(): Promise<void> {
    await this.#pool.destroy();
  }

  #explain(error: unknown, size: number, late: boolean): unknown {
    const { time, memory } = this.#limits;
    const what = `The document of ${(size / MEGABYTE).toFixed(1)} MB takes more than`;
    if (late) return new ParseError(`${what} ${time / 1000} s to read: split it into smaller ones`, error);
    if ((error as { code?: unknown }).code === 'ERR_WORKER_OUT_OF_MEMORY')
      return new ParseError(`${what} ${memory} MB of memory to read: split it into smaller ones`, error);
    return error;
  }
}
