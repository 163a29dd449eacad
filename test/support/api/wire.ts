import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import type { Replica } from '@yuxi/testing';

export interface WireRequest {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  /** Sent unchanged; an iterable is sent in chunks, without a length. */
  body?: string | Buffer | Iterable<Buffer>;
}

export interface WireAnswer {
  status: number;
  body: Record<string, unknown>;
}

/** Sends what `fetch` would correct or refuse. An answer that arrives before the end of the body is read to its end. */
export async function send({ baseUrl }: Replica, { method = 'POST', path, headers = {}, body }: WireRequest) {
  const outgoing = request(`${baseUrl}/`, { method, path, headers, agent: false });
  const answered = new Promise<WireAnswer>((resolve, reject) => {
    outgoing.on('response', (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: parse(text) }));
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
  });
  if (body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)) await pump(outgoing, body, answered);
  else outgoing.end(body);
  return answered;
}

async function pump(outgoing: ReturnType<typeof request>, pieces: Iterable<Buffer>, answered: Promise<unknown>) {
  let over = false;
  const ended = () => (over = true);
  const end = answered.then(ended, ended);
  for (const piece of pieces) {
    if (over) return;
    if (!outgoing.write(piece)) await Promise.race([once(outgoing, 'drain').catch(ended), end]);
  }
  outgoing.end();
}

/** Sends the head of a request that announces a body, but no body. @returns the answer that arrives anyway */
export async function answerBeforeBody(
  { baseUrl }: Replica,
  { method, path, headers, length }: { method: string; path: string; headers: Record<string, string>; length: number },
): Promise<WireAnswer> {
  const all = { ...headers, 'content-length': String(length) };
  const outgoing = request(`${baseUrl}/`, { method, path, headers: all, agent: false });
  outgoing.on('error', () => undefined).flushHeaders();
  const [incoming] = (await once(outgoing, 'response', { signal: AbortSignal.timeout(5000) })) as [IncomingMessage];
  let text = '';
  for await (const piece of incoming.setEncoding('utf8')) text += piece;
  outgoing.destroy();
  return { status: incoming.statusCode ?? 0, body: parse(text) };
}

/** Writes bytes to the socket and returns everything received until the server closes the connection; status 0 is none. */
export async function sendRaw({ port }: Replica, bytes: string): Promise<WireAnswer> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(bytes);
  await closed;
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), body: parse(text.split('\r\n\r\n')[1] ?? '') };
}

function parse(text: string): Record<string, unknown> {
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
}

/** One part of a multipart form with the boundary `B`. */
export function part(disposition: string, content: string | Buffer): Buffer {
  const head = `--B\r\nContent-Disposition: form-data; ${disposition}\r\nContent-Type: text/plain\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(content), Buffer.from('\r\n')]);
}

/** The one file of a form, under a name that is sent as it is. */
export function filePart(filename: string, content: string | Buffer): Buffer {
  return part(`name="file"; filename="${filename}"`, content);
}

export const FORM_END = Buffer.from('--B--\r\n');
export const FORM_TYPE = 'multipart/form-data; boundary=B';
