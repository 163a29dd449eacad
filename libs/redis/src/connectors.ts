import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector, type RedisOptions } from 'ioredis';
import { DISCONNECT_TIMEOUT } from './client.options.js';
import type { RedisEndpoint } from './redis.options.js';

type Connector = new (options: unknown) => AbstractConnector;

export interface SocketTarget {
  /** Asked for each connection; default host and port of the options. */
  endpoint?: () => RedisEndpoint | Promise<RedisEndpoint>;
  /** A node that says that it is something else is left again. */
  role?: 'master';
}

/**
 * Opens the sockets in place of ioredis, which listens for one error each: a TLS socket closed during its handshake may
 * emit two, and an error without a listener ends the process.
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
      // ioredis reads it when the socket dies before it is handed over.
      socket.on('error', (error) => {
        this.firstError ??= error;
      });
      this.stream = socket;
      return socket;
    }
  };
}

/**
 * Nodes in turn. Subscriptions on a Cluster take turns: any node carries every message, and a plain connection can be watched
 * and revived, unlike the subscriber inside a Cluster client.
 */
export function inTurn(nodes: () => readonly RedisEndpoint[]): () => RedisEndpoint {
  let turn = Math.floor(Math.random() * 1000);
  return () => {
    const all = nodes();
    return all[turn++ % all.length]!;
  };
}
