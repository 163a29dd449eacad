import { setImmediate } from 'node:timers/promises';

import { monotonicMs } from '@yuxi/core';

import { type Chunk, chunk, chunkId, type ChunkOptions, termFrequencies } from '../text/index.js';

/** Milliseconds of work after which other things get their turn. */
const SLICE_MS = 10;

/** A chunk with what is stored of it. */
export interface PreparedChunk extends Chunk {
  chunkId: string;
  frequencies: ReadonlyMap<string, number>;
  /** Terms in the chunk, repetitions included. */
  length: number;
}

/** Cuts and analyses a document, in slices, so that a large one does not stop the process. */
export async function prepareChunks(
  fileId: string,
  markdown: string,
  options: ChunkOptions,
  signal: AbortSignal,
): Promise<PreparedChunk[]> {
  const seen = new Map<string, number>();
  const prepared: PreparedChunk[] = [];
  let sliceEnd = monotonicMs() + SLICE_MS;
  for (const each of chunk(markdown, options)) {
    const ordinal = seen.get(each.text) ?? 0;
    seen.set(each.text, ordinal + 1);
    const frequencies = termFrequencies(each.text);
    const length = [...frequencies.values()].reduce((sum, tf) => sum + tf, 0);
    prepared.push({ ...each, chunkId: chunkId(fileId, each.text, ordinal), frequencies, length });
    if (monotonicMs() > sliceEnd) {
      await setImmediate();
      signal.throwIfAborted();
      sliceEnd = monotonicMs() + SLICE_MS;
    }
  }
  return prepared;
}
