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

/** A running front. */
export interface Front {
  baseUrl: string;
  stop(): Promise<void>;
}

// Headers that belong to one connection and must not travel on.
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade']);
const SAFE = new Set(['GET', 'HEAD']);

function forwarded(incoming: IncomingMessage): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name)) headers[name] = value;
  }
  const peer = incoming.socket.remoteAddress ?? '';
  const before = incoming.headers['x-forwarded-for'];
  headers['x-forwarded-for'] = before ? `${String(before)}, ${peer}` : peer;
  return headers;
}

/** Name, value, name, value... without those that belong to the connection of the replica. */
function answered(response: IncomingMessage): string[] {
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

  #attempt(incoming: IncomingMessage, outgoing: ServerResponse, index: number, left: number): void {
    const target = this.targets[index % this.targets.length];
    if (!target || left === 0) {
      outgoing.writeHead(502, { 'content-type': 'application/json' });
      outgoing.end('{"detail":"No replica accepts connections","code":"BAD_GATEWAY"}');
      return;
    }
    const { hostname, port } = target;
    const { method, url: path } = incoming;
    const upstream = request({ hostname, port, method, path, headers: forwarded(incoming), agent: this.agent });
    let begun = false;
    upstream.on('response', (response) => {
      begun = true;
      outgoing.writeHead(response.statusCode ?? 502, answered(response));
      response.pipe(outgoing);
      response.on('error', () => outgoing.destroy());
    });
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      // Refused means that nothing was sent: the next replica may have it. A reused connection that the replica closed at the
      // same moment is safe to repeat only when the method is.
      const closedIdle =
        error.code === 'ECONNRESET' && upstream.reusedSocket && !hasBody(incoming) && SAFE.has(method ?? '');
      if (begun || outgoing.destroyed) outgoing.destroy();
      else if (error.code === 'ECONNREFUSED') this.#attempt(incoming, outgoing, index + 1, left - 1);
      else if (closedIdle) this.#attempt(incoming, outgoing, index, left - 1);
      else outgoing.destroy();
    });
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) upstream.destroy();
    });
    // The body is sent only once a connection stands, so that a refused one has not eaten any of it.
    upstream.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => sendBody(incoming, upstream));
      else sendBody(incoming, upstream);
    });
  }
}

/** Starts an HTTP front that hands requests to the targets in turn and passes over those that refuse connections. */
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
