import { createHash } from 'node:crypto';

import { integerOption, OptionsError } from '@yuxi/core';

import { generalSpans, outline, type Section, separatorSpans } from './sections.js';
import { overlapStart, type Range, split, trimmed } from './split.js';
import { estimateTokens } from './tokens.js';

/** `general` follows headings, paragraphs and sentences. `separator` ends a chunk after each occurrence of a given text. */
export type ChunkPreset = 'general' | 'separator';

export interface ChunkOptions {
  /** Upper limit of a chunk in estimated tokens (see `estimateTokens`), 8 to 8192. Default 512. */
  size?: number;
  /** Maximum of estimated tokens that a chunk repeats from the previous one; 0 to half of `size`. Default 0. */
  overlap?: number;
  /** Text that ends a chunk with the preset `separator`, 1 to 64 units. Default a blank line. */
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
function chunkOptions(given: ChunkOptions = {}): Required<ChunkOptions> {
  const size = given.size ?? CHUNK_DEFAULTS.size;
  const overlap = given.overlap ?? CHUNK_DEFAULTS.overlap;
  const separator = given.separator ?? CHUNK_DEFAULTS.separator;
  const preset = given.preset ?? CHUNK_DEFAULTS.preset;
  integerOption('size', size, { min: 8, max: 8192 });
  integerOption('overlap', overlap, { min: 0, max: Math.floor(size / 2) });
  if (typeof separator !== 'string' || separator.length < 1 || separator.length > 64)
    throw new OptionsError('separator', 'a text of 1 to 64 characters', separator);
  if (preset !== 'general' && preset !== 'separator')
    throw new OptionsError('preset', "'general' or 'separator'", preset);
  return { size, overlap, separator, preset };
}

/** Part of a document; `markdown.slice(start, end) === text`. */
export interface Chunk {
  /** Position among the chunks of the document, from 0. */
  index: number;
  text: string;
  /** Headings above the text, outermost first. They belong to the section that fills most of the chunk. */
  headingPath: string[];
  /** Offset in UTF-16 units. */
  start: number;
  /** Offset in UTF-16 units, exclusive. */
  end: number;
}

/**
 * Divides markdown into chunks of at most `size` estimated tokens. Together they cover everything but white space. No chunk is empty, or starts
 * or ends inside a surrogate pair. A heading starts a new chunk unless the text before it is very short. Equal input gives equal chunks. Time is
 * linear. Throws `OptionsError` for an invalid option.
 */
export function chunk(markdown: string, options?: ChunkOptions): Chunk[] {
  const { size, overlap, separator, preset } = chunkOptions(options);
  const { sections, fences } = outline(markdown);
  const spans = preset === 'separator' ? separatorSpans(markdown, separator) : generalSpans(markdown, sections, size);
  const ranges = spans.flatMap((span) => withinSize(markdown, span, size, overlap, fences));
  const headings = new HeadingPaths(sections);
  return ranges.map(({ start, end }, index) => ({
    index,
    text: markdown.slice(start, end),
    headingPath: headings.of({ start, end }),
    start,
    end,
  }));
}

function withinSize(text: string, span: Range, size: number, overlap: number, fences: readonly Range[]): Range[] {
  const whole = trimmed(text, span);
  if (!whole) return [];
  if (estimateTokens(text.slice(whole.start, whole.end)) <= size) return [whole];
  const parts = split(text, whole, size - overlap, fences).flatMap((part) => trimmed(text, part) ?? []);
  return parts.map((part, i) => {
    const before = parts[i - 1];
    if (!before) return part;
    const start = overlapStart(text, part.start, before.start, overlap);
    return trimmed(text, { start, end: part.end }) ?? part;
  });
}

/** Finds the heading paths of ranges in ascending order. */
class HeadingPaths {
  #at = 0;

  constructor(private readonly sections: readonly Section[]) {}

  of({ start, end }: Range): string[] {
    while (this.#at + 1 < this.sections.length && this.sections[this.#at]!.end <= start) this.#at++;
    let best: Section | undefined;
    let most = 0;
    for (let i = this.#at; i < this.sections.length && this.sections[i]!.start < end; i++) {
      const section = this.sections[i]!;
      const share = Math.min(end, section.end) - Math.max(start, section.start);
      if (share > most) [best, most] = [section, share];
    }
    return [...(best?.headingPath ?? [])];
  }
}

/**
 * Identity of a chunk: SHA-256 (hex) of the file, the text, and the number of equal texts before it in the file. It does not depend on the
 * position, so that an edit elsewhere in the file does not change it.
 */
export function chunkId(fileId: string, text: string, ordinalOfEqualText: number): string {
  return createHash('sha256')
    .update(JSON.stringify([fileId, text, ordinalOfEqualText]))
    .digest('hex');
}
