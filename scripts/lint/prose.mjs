/**
 * Prose in Markdown and in comments. A block is `{ text, line }`: text that belongs together, with its line breaks, and the line on which it begins.
 */

/** Inline code counts as one word and is not searched for phrases. Line breaks stay, so that lines can be counted. */
export function withoutCode(text) {
  return text
    .replaceAll(/\{@link ([^}\n]*)\}/g, 'code')
    .replaceAll(/(`+)(?:(?!\1)[^\n])*\1/g, 'code')
    .replaceAll(/(`+)(?:(?!\1)[\s\S])*?\1/g, (code) => `code${'\n'.repeat(code.split('\n').length - 1)}`)
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/<https?:[^>]*>|https?:\/\/\S+/g, 'address');
}

/** Sentences of a block, each with the line on which it begins. */
export function sentences({ text, line }) {
  const flat = withoutCode(text);
  const ends = /[.!?]["')\]*]*\s+(?=["'([*]*(?:[A-Z0-9]|code\b))|\n\s*\n/g;
  const found = [];
  let start = 0;
  const add = (end) => {
    const sentence = flat.slice(start, end);
    const lead = sentence.length - sentence.trimStart().length;
    if (sentence.trim() !== '')
      found.push({
        text: sentence.trim().replaceAll(/\s+/g, ' '),
        line: line + flat.slice(0, start + lead).split('\n').length - 1,
      });
    start = end;
  };
  for (const match of flat.matchAll(ends)) {
    if (/\b(?:e\.g|i\.e|vs|cf|al|No)\.\s*$/.test(flat.slice(start, match.index + match[0].length))) continue;
    add(match.index + match[0].length);
  }
  add(flat.length);
  return found;
}

export function wordCount(sentence) {
  return sentence.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}

/**
 * Blocks of a Markdown text without its code, and the code: fenced lines and inline parts.
 * A cell of a table is split at semicolons and colons, because it is read as a list.
 */
export function markdownBlocks(text) {
  const blocks = [];
  const code = [];
  let fence = '';
  let open;
  const close = () => {
    if (open) blocks.push(open);
    open = undefined;
  };
  text.split('\n').forEach((raw, index) => {
    const line = index + 1;
    const mark = /^\s*(`{3,}|~{3,})/.exec(raw)?.[1];
    if (fence !== '') {
      if (mark?.startsWith(fence)) fence = '';
      else code.push({ text: raw, line });
      return;
    }
    if (mark) {
      close();
      fence = mark;
      return;
    }
    for (const [, inline] of raw.matchAll(/`([^`]+)`/g)) code.push({ text: inline, line });
    if (/^\s*\|/.test(raw)) {
      close();
      const cells = raw.replaceAll(/`[^`]*`/g, 'code').split('|');
      if (!/^[\s|:-]*$/.test(raw))
        for (const part of cells.flatMap((cell) => cell.split(/[;:]\s/)))
          if (part.trim() !== '') blocks.push({ text: part.trim(), line, cell: true });
      return;
    }
    if (/^\s*(?:$|<!--|#{1,6}\s)/.test(raw)) {
      close();
      if (/^\s*#/.test(raw)) blocks.push({ text: raw.replace(/^\s*#+\s*/, ''), line });
      return;
    }
    const item = /^\s*(?:[-*+]|\d+\.)\s+/.exec(raw)?.[0];
    if (item !== undefined) {
      close();
      open = { text: raw.slice(item.length), line };
    } else if (open) open.text += `\n${raw}`;
    else open = { text: raw, line };
  });
  close();
  return { blocks, code };
}
