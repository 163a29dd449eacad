const MAX_INDENT = 8;
const SPACES = /[ \t\n\f\r]+/g;
const MARKUP_AT_START = /^(?:#{1,6}(?:\s|$)|`{3}|~{3})/;

/**
 * Collects markdown piece by piece, in linear time. White space is collapsed as in a browser, and breaks between blocks are merged.
 */
export class MarkdownWriter {
  readonly #parts: string[] = [];
  readonly #indents: string[] = [];
  #breaks = 0;
  #atStart = true;
  #pendingSpace = false;

  /** Text in which white space means a single space. */
  inline(text: string): void {
    const flat = text.replace(SPACES, ' ');
    const content = flat.trim();
    if (flat.startsWith(' ')) this.#pendingSpace = true;
    if (content === '') return;
    const lineStart = this.#begin();
    this.#parts.push(lineStart && MARKUP_AT_START.test(content) ? `\\${content}` : content);
    this.#pendingSpace = flat.endsWith(' ');
  }

  /** Markup that stays as it is, written on the current line. */
  raw(markup: string): void {
    this.#begin();
    this.#parts.push(markup);
  }

  /** Starts a new line, or with 2 a new block. Does nothing at the start. */
  break(newlines: 1 | 2): void {
    this.#pendingSpace = false;
    if (!this.#atStart) this.#breaks = Math.max(this.#breaks, newlines);
  }

  /** Writes a line marker such as `- `. A block that follows directly stays on its line. */
  marker(text: string): void {
    this.raw(text);
    this.#atStart = true;
  }

  /** Unchanged lines, each with the current indent. */
  lines(lines: readonly string[]): void {
    this.break(2);
    lines.forEach((line, i) => {
      if (i > 0) this.#newline(1);
      else this.#begin();
      this.#parts.push(line);
    });
  }

  indent(prefix: string): void {
    this.#indents.push(this.#indents.length < MAX_INDENT ? prefix : '');
  }

  outdent(): void {
    this.#indents.pop();
  }

  toString(): string {
    return this.#parts.join('');
  }

  /** Writes pending breaks and spaces. Returns whether a line starts. */
  #begin(): boolean {
    const starts = this.#atStart || this.#breaks > 0;
    if (this.#breaks > 0) this.#newline(this.#breaks);
    else if (this.#pendingSpace && !this.#atStart) this.#parts.push(' ');
    this.#breaks = 0;
    this.#atStart = false;
    this.#pendingSpace = false;
    return starts;
  }

  #newline(count: number): void {
    const prefix = this.#indents.join('');
    if (count > 1) this.#parts.push('\n', prefix.trimEnd());
    this.#parts.push('\n', prefix);
  }
}
