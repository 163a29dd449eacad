import type { RequestContext } from '@yuxi/observability';

export type CarriedContext = Pick<RequestContext, 'requestId' | 'traceparent'>;

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;
const TRACE = /^00-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;
const UUID_SIZE = 22;

const pack = (text: string) => Buffer.from(text.replaceAll('-', ''), 'hex').toString('base64url');

/**
 * A request id and a trace context in few characters, as a hundred thousand tasks may carry them: what is hexadecimal by its
 * format goes as base64. `u` begins with a UUID, `p` holds the id as it is; the trace context follows a blank.
 */
export function packContext({ requestId, traceparent }: CarriedContext): string {
  const id = UUID.test(requestId) ? `u${pack(requestId)}` : `p${requestId}`;
  return traceparent !== undefined && TRACE.test(traceparent) ? `${id} ${pack(traceparent)}` : id;
}

/** Reads what it is asked for only when it is: most tasks neither log nor call anybody. */
export class PackedContext implements CarriedContext {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get requestId(): string {
    const [id = ''] = this.#text.split(' ');
    return id.startsWith('u') && id.length === UUID_SIZE + 1 ? unpack(id.slice(1), [8, 4, 4, 4, 12]) : id.slice(1);
  }

  get traceparent(): string | undefined {
    const [, trace] = this.#text.split(' ');
    return trace === undefined ? undefined : unpack(trace, [2, 32, 16, 2]);
  }
}

function unpack(text: string, sizes: readonly number[]): string {
  const hex = Buffer.from(text, 'base64url').toString('hex');
  let at = 0;
  return sizes.map((size) => hex.slice(at, (at += size))).join('-');
}
