import type { IncomingMessage, ServerResponse } from 'node:http';

/** How long the rest of a refused body is read and thrown away, milliseconds. */
const LINGER_MS = 2000;

/**
 * Keeps the connection of a request that is answered before its body has come. Closing at once would reset it, and most
 * clients then lose the answer (RFC 9112, section 9.6: "lingering close"); who goes on sending is cut off after
 * {@link LINGER_MS}.
 */
export function lingerOverBody(request: IncomingMessage, response: ServerResponse): void {
  // Undefined for a request that was injected without a connection.
  if (request.complete ?? true) return;
  response.once('finish', () => {
    request.resume();
    const timer = setTimeout(() => request.destroy(), LINGER_MS).unref();
    for (const event of ['end', 'close']) request.once(event, () => clearTimeout(timer));
  });
}
