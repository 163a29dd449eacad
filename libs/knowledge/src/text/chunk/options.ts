import { OptionsError } from '@yuxi/core';

/** `general` follows headings, paragraphs and sentences; `separator` cuts after each occurrence of a given text. */
export type ChunkPreset = 'general' | 'separator';

export interface ChunkOptions {
  /** Upper limit of a chunk in estimated tokens (see `estimateTokens`), 8 to 8192. Default 512. */
  size?: number;
  /** Estimated tokens, at most, that a chunk repeats from the one before it; 0 to half of `size`. Default 0. */
  overlap?: number;
  /** Text that ends a piece with the preset `separator`, taken literally, 1 to 64 units. Default a blank line. */
  separator?: string;
  /** Default `general`. */
  preset?: ChunkPreset;
}

export const CHUNK_DEFAULTS: Readonly<Required<ChunkOptions>> = {
  size: 512,
  overlap: 0,
  separator: '\n\n',
  preset: 'general',
};

/** Options with defaults. Throws `OptionsError` on a value out of range. */
export function chunkOptions(given: ChunkOptions = {}): Required<ChunkOptions> {
  const size = given.size ?? CHUNK_DEFAULTS.size;
  const overlap = given.overlap ?? CHUNK_DEFAULTS.overlap;
  const separator = given.separator ?? CHUNK_DEFAULTS.separator;
  const preset = given.preset ?? CHUNK_DEFAULTS.preset;
  if (!isWithin(size, 8, 8192)) throw new OptionsError('size', 'an integer from 8 to 8192', size);
  if (!isWithin(overlap, 0, size / 2)) throw new OptionsError('overlap', 'an integer from 0 to half of size', overlap);
  if (typeof separator !== 'string' || !isWithin(separator.length, 1, 64)) {
    throw new OptionsError('separator', 'a text of 1 to 64 characters', separator);
  }
  if (preset !== 'general' && preset !== 'separator') {
    throw new OptionsError('preset', "'general' or 'separator'", preset);
  }
  return { size, overlap, separator, preset };
}

const isWithin = (value: number, from: number, to: number): boolean =>
  Number.isInteger(value) && value >= from && value <= to;
