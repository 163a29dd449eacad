import type { IncomingMessage, ServerResponse } from 'node:http';

/** Silence after which nothing more is waited for, and the longest time for all of it, milliseconds. */
const SILENCE_MS = 2000;
const LONGEST_MS = 30_000;

/**
 * Keeps the connection of a request that is answered before its body has come, and throws the rest away. Closing at once
 * would reset it, and most clients then lose the answer (RFC 9112, section 9.6: "lingering close"; the two times are those
 * that nginx has for it).
 */
export function lingerOverBody(request: IncomingMessage, response: ServerResponse): void {
  // Undefined for a request that was injected without a connection.
  if (request.complete ?? true) return;
  response.once('finish', () => {
    const cut = () => request.destroy();
    const [silence, longest] = [SILENCE_MS, LONGEST_MS].map((ms) => setTimeout(cut, ms).unref());
    request.on('data', () => silence!.refresh());
    for (const event of ['end', 'close'])
      request.once(event, () => {
        clearTimeout(silence);
        clearTimeout(longest);
      });
  });
}
