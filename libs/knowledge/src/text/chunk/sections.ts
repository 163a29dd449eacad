import { cutAt, type Range } from './split.js';
import { estimateTokens } from './tokens.js';

/** A heading with the text below it, up to the next heading of any level. */
export interface Section extends Range {
  /** Texts of the headings above the section and of its own, outermost first. */
  headingPath: string[];
}

export interface Outline {
  sections: Section[];
  /** Fenced code, which must not be divided at a blank line. Ascending. */
  fences: Range[];
}

const HEADING = /^ {0,3}(#{1,6})(?:[ \t]|$)/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const MAX_HEADING = 200;

interface OpenFence {
  marker: string;
  start: number;
}

/**
 * Sections and fenced code of a markdown text. Headings are the ATX kind (`#` to `######`) outside of fenced code.
 */
export function outline(text: string): Outline {
  const sections: Section[] = [{ start: 0, end: text.length, headingPath: [] }];
  const fences: Range[] = [];
  const path: { level: number; title: string }[] = [];
  let open: OpenFence | undefined;
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline + 1;
    const line = text.slice(start, Math.min(end, start + 4 * MAX_HEADING));
    if (open) {
      if (closes(line, open.marker)) {
        fences.push({ start: open.start, end });
        open = undefined;
      }
    } else {
      const marker = FENCE.exec(line)?.[1];
      const hashes = HEADING.exec(line)?.[1];
      if (marker !== undefined) open = { marker, start };
      else if (hashes !== undefined) {
        while ((path.at(-1)?.level ?? 0) >= hashes.length) path.pop();
        path.push({ level: hashes.length, title: headingText(line) });
        sections.at(-1)!.end = start;
        sections.push({ start, end: text.length, headingPath: path.map(({ title }) => title) });
      }
    }
    start = end;
  }
  if (open) fences.push({ start: open.start, end: text.length });
  return { sections: sections.filter((section) => section.end > section.start), fences };
}

function closes(line: string, marker: string): boolean {
  const found = FENCE.exec(line)?.[1];
  return found !== undefined && found.startsWith(marker) && line.trim() === found;
}

function headingText(line: string): string {
  let title = line.trim();
  let from = 0;
  while (title.charAt(from) === '#') from++;
  title = title.slice(from).trim();
  let to = title.length;
  while (to > 0 && title.charAt(to - 1) === '#') to--;
  if (to < title.length && (to === 0 || /\s/.test(title.charAt(to - 1)))) title = title.slice(0, to).trim();
  return Array.from(title).slice(0, MAX_HEADING).join('');
}

/** A section shorter than this share of the size does not become a chunk of its own. */
const TINY_SHARE = 1 / 16;

/** Sections. A very short one is joined with the next, or at the end with the previous one. */
export function generalSpans(text: string, sections: readonly Section[], size: number): Range[] {
  const spans: (Range & { tokens: number })[] = [];
  for (const { start, end } of sections) {
    const tokens = estimateTokens(text.slice(start, end));
    const last = spans.at(-1);
    if (last && last.tokens < size * TINY_SHARE) {
      last.end = end;
      last.tokens += tokens;
    } else spans.push({ start, end, tokens });
  }
  const [before, last] = spans.slice(-2);
  if (before && last && last.tokens < size * TINY_SHARE && before.tokens + last.tokens <= size) {
    before.end = last.end;
    spans.pop();
  }
  return spans;
}

/** Divides after each separator. A piece of separators and white space belongs to the previous piece. */
export function separatorSpans(text: string, separator: string): Range[] {
  const spans: Range[] = [];
  for (const piece of cutAt({ start: 0, end: text.length }, separatorEnds(text, separator))) {
    const content = text.slice(piece.start, piece.end);
    const last = spans.at(-1);
    if (last && content.replaceAll(separator, '').trim() === '') last.end = piece.end;
    else spans.push(piece);
  }
  return spans;
}

function* separatorEnds(text: string, separator: string): Generator<number> {
  for (let at = text.indexOf(separator); at !== -1; at = text.indexOf(separator, at + separator.length)) {
    yield at + separator.length;
  }
}
