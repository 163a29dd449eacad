import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector, type RedisOptions } from 'ioredis';
import type { RedisEndpoint } from './redis.options.js';

/** A server that hangs never answers our FIN: after so many milliseconds the next attempt begins without it. */
export const DISCONNECT_TIMEOUT = 100;

type Connector = new (options: unknown) => AbstractConnector;

export interface SocketTarget {
  /** Called for each connection. Default: host and port of the options. */
  endpoint?: () => RedisEndpoint | Promise<RedisEndpoint>;
  /** A node that reports another role is disconnected again. */
  role?: 'master';
}

/**
 * Opens the sockets instead of ioredis, which listens for one error of each socket. A TLS socket that is closed during
 * its handshake may emit two, and an error without a listener ends the process.
 */
export function socketConnector({ endpoint, role }: SocketTarget = {}): Connector {
  return class SocketConnector extends AbstractConnector {
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      super(DISCONNECT_TIMEOUT);
      this.#options = options as RedisOptions;
    }

    override check(info: { role?: string }): boolean {
      return !role || !info.role || info.role === role;
    }

    override async connect(): Promise<Socket> {
      this.connecting = true;
      const { tls, ...given } = this.#options;
      const { host = 'localhost', port = 6379 } = (await endpoint?.()) ?? given;
      if (!this.connecting) throw new Error('Connection is closed.');
      const socket = tls ? connectTls({ host, port, ...tls }) : connectTcp({ host, port });
      // ioredis reads `firstError` when the socket fails before this method returns.
      socket.on('error', (error) => {
        this.firstError ??= error;
      });
      this.stream = socket;
      return socket;
    }
  };
}

/** The next node at each call. The first one is random, so that replicas do not all use the same node. */
export function roundRobin(nodes: () => readonly RedisEndpoint[]): () => RedisEndpoint {
  let next = Math.floor(Math.random() * 1000);
  return () => {
    const all = nodes();
    return all[next++ % all.length]!;
  };
}
