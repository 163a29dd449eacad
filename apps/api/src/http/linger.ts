import type { IncomingMessage, ServerResponse } from 'node:http';

/** Silence after which nothing more is waited for, and the longest time for all of it, milliseconds. */
const SILENCE_MS = 2000;
const LONGEST_MS = 30_000;

/**
 * Keeps the connection of a request that is answered before its body has come, and throws the rest away. Closing at once
 * would reset it, and most clients then lose the answer (RFC 9112, section 9.6: "lingering close"; the two times are those
 * that nginx has for it). Call it before the answer is sent.
 */
export function lingerOverBody(request: IncomingMessage, response: ServerResponse): void {
  // Undefined for a request that was injected without a connection.
  if (request.complete ?? true) return;
  // Left alone, Node closes the connection of a client that sent `Connection: close` with the last byte of the answer.
  const closing = !response.shouldKeepAlive;
  response.shouldKeepAlive = true;
  response.once('finish', () => {
    const { socket } = request;
    const close = () => {
      if (closing) socket.end();
    };
    if (request.readableEnded) {
      // The rest has come while the answer was on its way.
      close();
      return;
    }
    // Node discards the rest below the stream, where no `data` event tells of it.
    let heard = socket.bytesRead;
    const silence = setInterval(() => {
      if (socket.bytesRead === heard) socket.destroy();
      heard = socket.bytesRead;
    }, SILENCE_MS).unref();
    const longest = setTimeout(() => socket.destroy(), LONGEST_MS).unref();
    request.once('end', close);
    request.once('close', () => {
      clearInterval(silence);
      clearTimeout(longest);
    });
  });
}
