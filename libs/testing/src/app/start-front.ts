import { Agent, createServer, request } from 'node:http';
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Options of {@link startFront}. */
export interface StartFrontOptions {
  /** Default: a free one. */
  port?: number;
  /** Base URLs of the replicas. */
  targets: string[];
}

/** A running HTTP front: a small load balancer. */
export interface Front {
  baseUrl: string;
  stop(): Promise<void>;
}

// Headers of a single connection, which must not be forwarded.
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade']);
const SAFE = new Set(['GET', 'HEAD']);

function requestHeaders(incoming: IncomingMessage): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name)) headers[name] = value;
  }
  const peer = incoming.socket.remoteAddress ?? '';
  const before = incoming.headers['x-forwarded-for'];
  headers['x-forwarded-for'] = before ? `${String(before)}, ${peer}` : peer;
  return headers;
}

/** Name, value, name, value... without the headers of the connection to the replica. */
function responseHeaders(response: IncomingMessage): string[] {
  const raw = response.rawHeaders;
  return raw.filter((_, i) => !HOP_BY_HOP.has((raw[i - (i % 2)] ?? '').toLowerCase()));
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function sendBody(incoming: IncomingMessage, upstream: ClientRequest): void {
  if (hasBody(incoming)) incoming.pipe(upstream);
  else upstream.end();
}

class RoundRobin {
  readonly agent = new Agent({ keepAlive: true, maxSockets: 256 });
  #next = 0;

  constructor(private readonly targets: URL[]) {}

  handle(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const first = this.#next++;
    this.#attempt(incoming, outgoing, first, this.targets.length);
  }

  #attempt(incoming: IncomingMessage, outgoing: ServerResponse, index: number, attemptsLeft: number): void {
    const target = this.targets[index % this.targets.length];
    if (!target || attemptsLeft === 0) {
      outgoing.writeHead(502, { 'content-type': 'application/json' });
      outgoing.end('{"detail":"No replica accepts connections","code":"BAD_GATEWAY"}');
      return;
    }
    const { hostname, port } = target;
    const { method, url: path } = incoming;
    const upstream = request({ hostname, port, method, path, headers: requestHeaders(incoming), agent: this.agent });
    let begun = false;
    upstream.on('response', (response) => {
      begun = true;
      outgoing.writeHead(response.statusCode ?? 502, responseHeaders(response));
      response.pipe(outgoing);
      response.on('error', () => outgoing.destroy());
    });
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      // After a refused connection nothing was sent, so the next replica can serve the request. When the replica closed a reused
      // connection at the same moment, the request may have arrived: only a safe method is repeated.
      const closedIdle =
        error.code === 'ECONNRESET' && upstream.reusedSocket && !hasBody(incoming) && SAFE.has(method ?? '');
      if (begun || outgoing.destroyed) outgoing.destroy();
      else if (error.code === 'ECONNREFUSED') this.#attempt(incoming, outgoing, index + 1, attemptsLeft - 1);
      else if (closedIdle) this.#attempt(incoming, outgoing, index, attemptsLeft - 1);
      else outgoing.destroy();
    });
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) upstream.destroy();
    });
    // The body is sent when the connection is open. A refused connection would have consumed a part of it.
    upstream.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => sendBody(incoming, upstream));
      else sendBody(incoming, upstream);
    });
  }
}

/** Starts an HTTP front that sends requests to the targets in turn, and skips targets that refuse connections. */
export async function startFront(options: StartFrontOptions): Promise<Front> {
  const robin = new RoundRobin(options.targets.map((target) => new URL(target)));
  const server = createServer((incoming, outgoing) => robin.handle(incoming, outgoing));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise((resolve) => {
        robin.agent.destroy();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
