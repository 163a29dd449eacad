import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { sleep } from '@yuxi/core';
import { freePort } from './ports.js';

/** Where a proxy forwards connections to. */
export interface ProxyTarget {
  host: string;
  port: number;
}

/** A TCP relay with faults. A fault applies to open and to new connections. */
export interface ChaosProxy {
  readonly host: string;
  readonly port: number;
  /** The URL of the target with the host and port of this proxy. */
  through(url: string): string;
  /** Accepts connections and keeps them open, but delivers nothing in either direction. */
  blackhole(): void;
  /** Delivers requests, but no answers. */
  loseAnswers(): void;
  /** Resets open connections and stops listening, so that new ones are refused. */
  refuse(): Promise<void>;
  /** Delays every chunk by `ms` milliseconds in each direction; 0 ends the delay. */
  latency(ms: number): void;
  /** Resets all open connections; new ones work. */
  cut(): void;
  /** Ends all faults. Connections of which data was dropped are reset. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}

interface Pair {
  /** From the client, and to the target. */
  sockets: [Socket, Socket];
  /** Data was dropped, so the byte stream cannot be used any more. */
  incomplete: boolean;
}

class TcpChaosProxy implements ChaosProxy {
  readonly host = '127.0.0.1';
  port = 0;
  #server: Server | undefined;
  readonly #pairs = new Set<Pair>();
  #drop: 'nothing' | 'answers' | 'all' = 'nothing';
  #delay = 0;

  constructor(private readonly target: ProxyTarget) {}

  async listen(): Promise<void> {
    const server = createServer({ pauseOnConnect: false }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: this.host, port: this.port, exclusive: true }, resolve);
    });
    server.unref();
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  through(url: string): string {
    return Object.assign(new URL(url), { hostname: this.host, port: String(this.port) }).toString();
  }

  blackhole(): void {
    this.#drop = 'all';
  }

  loseAnswers(): void {
    this.#drop = 'answers';
  }

  async refuse(): Promise<void> {
    const closed = this.#close();
    this.cut();
    await closed;
  }

  latency(ms: number): void {
    this.#delay = ms;
  }

  cut(): void {
    for (const pair of this.#pairs) this.#reset(pair);
  }

  async heal(): Promise<void> {
    this.#drop = 'nothing';
    this.#delay = 0;
    for (const pair of this.#pairs) if (pair.incomplete) this.#reset(pair);
    if (!this.#server) await this.listen();
  }

  async stop(): Promise<void> {
    await this.refuse();
  }

  #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    return new Promise((resolve) => (server ? server.close(() => resolve()) : resolve()));
  }

  #accept(inner: Socket): void {
    const outer = connect(this.target);
    const pair: Pair = { sockets: [inner, outer], incomplete: false };
    this.#pairs.add(pair);
    this.#relay(pair, inner, outer);
    this.#relay(pair, outer, inner);
  }

  #relay(pair: Pair, from: Socket, to: Socket): void {
    from.setNoDelay(true);
    const pass = (deliver: () => void) => {
      if (this.#drops(pair, from)) pair.incomplete = true;
      else deliver();
    };
    let delayed = 0;
    let last: Promise<unknown> = Promise.resolve();
    const deliverAfter = async (before: Promise<unknown>, deliver: () => void) => {
      // In order, also after the latency was decreased.
      await Promise.all([before, sleep(this.#delay)]);
      delayed--;
      pass(deliver);
    };
    const later = (deliver: () => void) => {
      if (this.#delay === 0 && delayed === 0) return deliver();
      delayed++;
      last = deliverAfter(last, deliver);
    };
    from.on('data', (chunk: Buffer) => pass(() => later(() => to.write(chunk))));
    from.on('end', () => pass(() => later(() => to.end())));
    from.on('error', () => this.#reset(pair));
    from.on('close', () => {
      if (to.destroyed) this.#pairs.delete(pair);
      // A half-closed stream continues in the other direction; a broken one closes both.
      else if (!from.readableEnded) this.#reset(pair);
    });
  }

  #drops(pair: Pair, from: Socket): boolean {
    return this.#drop === 'all' || (this.#drop === 'answers' && from === pair.sockets[1]);
  }

  #reset(pair: Pair): void {
    this.#pairs.delete(pair);
    // A socket that is ending must not be reset: Node would keep its handle, and so the process.
    for (const socket of pair.sockets) {
      if (socket.writableEnded) socket.destroy();
      else if (!socket.destroyed) socket.resetAndDestroy();
    }
  }
}

/** Starts a proxy on a free port in front of `target`, without a fault. */
export async function startProxy(target: ProxyTarget): Promise<ChaosProxy> {
  const proxy = new TcpChaosProxy({ host: target.host, port: target.port });
  proxy.port = await freePort();
  await proxy.listen();
  return proxy;
}
