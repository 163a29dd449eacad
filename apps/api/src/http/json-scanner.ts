const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const LONE_SURROGATE = /\p{Surrogate}/u;
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor']);

export interface JsonLimits {
  /** Objects and arrays inside one another. Default 32. */
  maxDepth?: number;
  /** Values in the whole document, keys not counted. Default 100,000. */
  maxValues?: number;
}

/** Why a text is refused, and where. */
export class JsonRefused extends Error {
  constructor(
    message: string,
    /** Path of the value, e.g. `items[3].name`; empty for the document itself. */
    readonly path: string,
    /** Offset into the text, in characters. */
    readonly position: number,
    /** The document is well formed, only larger than allowed. */
    readonly tooLarge = false,
  ) {
    super(message);
  }
}

interface Frame {
  /** Keys seen so far; null for an array. */
  keys: Set<string> | null;
  key: string;
  index: number;
}

/** Reads a JSON text once, in linear time, and refuses whatever `JSON.parse` would silently change or drop. */
export class JsonScanner {
  private at = 0;
  private values = 0;
  private readonly stack: Frame[] = [];
  private readonly maxDepth: number;
  private readonly maxValues: number;

  constructor(
    private readonly text: string,
    limits: JsonLimits = {},
  ) {
    this.maxDepth = limits.maxDepth ?? 32;
    this.maxValues = limits.maxValues ?? 100_000;
  }

  /** @throws {JsonRefused} */
  scan(): void {
    this.skipSpace();
    if (this.at === this.text.length) this.refuse('the body is empty');
    let open = this.value();
    for (;;) {
      if (!open && !this.next()) break;
      open = this.value();
    }
    this.skipSpace();
    if (this.at < this.text.length) this.refuse('text after the end of the document');
  }

  /** Consumes one value, or the opening of a container that has members. True when a member follows. */
  private value(): boolean {
    this.skipSpace();
    if (++this.values > this.maxValues) this.refuse(`more than ${this.maxValues} values`, true);
    const char = this.text[this.at];
    if (char === '{' || char === '[') return this.open(char);
    if (char === '"') this.string();
    else if (char === '-' || (char !== undefined && char >= '0' && char <= '9')) this.number();
    else if (!this.match(WORD)) this.refuse(char === undefined ? 'unexpected end' : 'unexpected character');
    return false;
  }

  private open(bracket: '{' | '['): boolean {
    if (this.stack.length === this.maxDepth) this.refuse(`nested deeper than ${this.maxDepth} levels`);
    this.at += 1;
    this.skipSpace();
    if (this.text[this.at] === (bracket === '{' ? '}' : ']')) {
      this.at += 1;
      return false;
    }
    this.stack.push({ keys: bracket === '{' ? new Set() : null, key: '', index: 0 });
    if (bracket === '{') this.key();
    return true;
  }

  /** Moves behind the value just read. False when the document is complete. */
  private next(): boolean {
    for (;;) {
      const frame = this.stack.at(-1);
      if (!frame) return false;
      this.skipSpace();
      const char = this.text[this.at];
      if (char === ',') {
        this.at += 1;
        frame.index += 1;
        if (frame.keys) this.key();
        return true;
      }
      if (char !== (frame.keys ? '}' : ']'))
        this.refuse(char === undefined ? 'unexpected end' : `expected "," or "${frame.keys ? '}' : ']'}"`);
      this.at += 1;
      this.stack.pop();
    }
  }

  private key(): void {
    this.skipSpace();
    if (this.text[this.at] !== '"') this.refuse('expected a key in double quotes');
    const frame = this.stack.at(-1)!;
    const key = this.string();
    frame.key = key;
    if (frame.keys!.has(key)) this.refuse('duplicate key');
    if (FORBIDDEN_KEYS.has(key)) this.refuse('this key is not allowed');
    frame.keys!.add(key);
    this.skipSpace();
    if (this.text[this.at] !== ':') this.refuse('expected ":"');
    this.at += 1;
  }

  private string(): string {
    const start = this.at;
    let escaped = false;
    this.at += 1;
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (Number.isNaN(code)) this.refuse('a string is not closed');
      if (code === 0x22) break;
      if (code < 0x20) this.refuse('control character in a string');
      if (code !== 0x5c) this.at += 1;
      else if (this.match(ESCAPE)) escaped = true;
      else this.refuse('unknown escape in a string');
    }
    this.at += 1;
    const raw = this.text.slice(start, this.at);
    if (!escaped) return raw.slice(1, -1);
    const value = JSON.parse(raw) as string;
    if (value.includes('\0')) this.refuse('NUL character in a string');
    if (LONE_SURROGATE.test(value)) this.refuse('half of a surrogate pair in a string');
    return value;
  }

  private number(): void {
    const start = this.at;
    if (!this.match(NUMBER)) this.refuse('malformed number');
    const value = Number(this.text.slice(start, this.at));
    if (!Number.isFinite(value)) this.refuse('number out of range');
    if (Object.is(value, -0)) this.refuse('negative zero');
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) this.refuse('integer beyond 2^53 - 1');
  }

  private match(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) return false;
    this.at = pattern.lastIndex;
    return true;
  }

  private skipSpace(): void {
    while (SPACE.has(this.text.charCodeAt(this.at))) this.at += 1;
  }

  private refuse(message: string, tooLarge = false): never {
    const path = this.stack
      .map((frame) => (frame.keys ? `.${frame.key.slice(0, 80)}` : `[${frame.index}]`))
      .join('')
      .replace(/^\./, '');
    throw new JsonRefused(message, path, this.at, tooLarge);
  }
}
