import type { RequestContext } from '@yuxi/observability';

export type CarriedContext = Pick<RequestContext, 'requestId' | 'traceparent'>;

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;
const TRACE = /^00-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;
const UUID_PARTS = [8, 4, 4, 4, 12];
const TRACE_PARTS = [32, 16, 2];

/**
 * A request id and a trace context in few characters, because a hundred thousand tasks may carry them. Hexadecimal values are
 * written as base64, after a letter for their kind. All other text is kept unchanged.
 */
export function packContext({ requestId, traceparent = '' }: CarriedContext): string {
  const hasTrace = TRACE.test(traceparent);
  if (!UUID.test(requestId)) return hasTrace ? `p${requestId} ${pack(traceparent.slice(3))}` : `p${requestId}`;
  return hasTrace ? `b${pack(requestId + traceparent.slice(3))}` : `u${pack(requestId)}`;
}

/** Unpacks a field when it is read. Most tasks neither log nor send requests, and read none. */
export class PackedContext implements CarriedContext {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get requestId(): string {
    const rest = this.#text.slice(1);
    return this.#text.startsWith('p') ? rest.split(' ', 1)[0]! : unpack(rest, UUID_PARTS, 0);
  }

  get traceparent(): string | undefined {
    const kind = this.#text[0];
    if (kind === 'b') return `00-${unpack(this.#text.slice(1), TRACE_PARTS, 32)}`;
    const [, trace] = this.#text.split(' ');
    return kind === 'p' && trace !== undefined ? `00-${unpack(trace, TRACE_PARTS, 0)}` : undefined;
  }
}

function pack(text: string): string {
  return Buffer.from(text.replaceAll('-', ''), 'hex').toString('base64url');
}

/** @param from index of the first digit */
function unpack(text: string, sizes: readonly number[], from: number): string {
  const hex = Buffer.from(text, 'base64url').toString('hex');
  let at = from;
  return sizes.map((size) => hex.slice(at, (at += size))).join('-');
}
