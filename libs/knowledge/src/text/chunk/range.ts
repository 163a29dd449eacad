/** Part of the markdown in UTF-16 units; `end` is exclusive. */
export interface Range {
  start: number;
  end: number;
}

const NOT_SPACE = /\S/;

/** The range without white space at both ends, or `undefined` if nothing else is in it. */
export function trimmed(text: string, { start, end }: Range): Range | undefined {
  let from = start;
  let to = end;
  while (from < to && !NOT_SPACE.test(text.charAt(from))) from++;
  while (to > from && !NOT_SPACE.test(text.charAt(to - 1))) to--;
  return from < to ? { start: from, end: to } : undefined;
}

/** Neighbouring ranges of `whole` that end at the given ascending offsets. */
export function cutAt(whole: Range, offsets: Iterable<number>): Range[] {
  const ranges: Range[] = [];
  let start = whole.start;
  for (const offset of offsets) {
    if (offset <= start || offset >= whole.end) continue;
    ranges.push({ start, end: offset });
    start = offset;
  }
  ranges.push({ start, end: whole.end });
  return ranges;
}
