import { chunkOptions, type ChunkOptions } from './options.js';
import { overlapStart } from './overlap.js';
import { trimmed, type Range } from './range.js';
import { outline, type Section } from './sections.js';
import { generalSpans, separatorSpans } from './spans.js';
import { split } from './split.js';
import { estimateTokens } from './tokens.js';

export type { ChunkPreset } from './options.js';

/** Part of a document; `markdown.slice(start, end) === text`. */
export interface Chunk {
  /** Position among the chunks of the document, from 0. */
  index: number;
  text: string;
  /** Headings above the text, outermost first; those of the section that fills most of the chunk. */
  headingPath: string[];
  /** Offset in UTF-16 units. */
  start: number;
  /** Offset in UTF-16 units, exclusive. */
  end: number;
}

/**
 * Cuts markdown into chunks of at most `size` estimated tokens. Together they cover everything but white space; none
 * is empty, starts inside a surrogate pair or ends there. A heading begins a new chunk unless what stands before it is
 * very short. The same input always gives the same chunks. Time is linear. Throws `OptionsError` on a bad option.
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

/** Finds the heading path of ranges that are asked for in ascending order. */
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
