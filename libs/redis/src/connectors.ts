import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector, type RedisOptions, type SentinelConnectionOptions, SentinelConnector } from 'ioredis';
import { DISCONNECT_TIMEOUT } from './client.options.js';
import type { RedisEndpoint } from './redis.options.js';

type Connector = new (options: unknown) => AbstractConnector;

/**
 * Opens the sockets in place of ioredis, which listens for one error each: a TLS socket closed during its handshake may
 * emit two, and an error without a listener ends the process.
 * @param nodes to take in turn; without, the host and port in the options. Subscriptions on a Cluster take turns: any node
 *   carries every message, and a plain connection can be watched and revived, unlike the subscriber inside a Cluster client.
 */
export function socketConnector(nodes?: () => RedisEndpoint[]): Connector {
  let turn = Math.floor(Math.random() * 1000);
  return class SocketConnector extends AbstractConnector {
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      super(DISCONNECT_TIMEOUT);
      this.#options = options as RedisOptions;
    }

    override async connect(): Promise<Socket> {
      this.connecting = true;
      const { host = 'localhost', port = 6379, tls } = this.#options;
      const all = nodes?.() ?? [];
      const target = all.length > 0 ? all[turn++ % all.length]! : { host, port };
      const socket = tls
        ? connectTls({ host: target.host, port: target.port, ...tls })
        : connectTcp({ host: target.host, port: target.port });
      // ioredis reads it when the socket dies before it is handed over.
      socket.on('error', (error) => {
        this.firstError ??= error;
      });
      this.stream = socket;
      return socket;
    }
  };
}

/** As {@link socketConnector} for the master that the Sentinels name. */
export class MasterConnector extends SentinelConnector {
  constructor(options: unknown) {
    super(options as SentinelConnectionOptions);
  }

  override async connect(emit: Parameters<SentinelConnector['connect']>[0]): ReturnType<SentinelConnector['connect']> {
    const socket = await super.connect(emit);
    socket.on('error', () => undefined);
    return socket;
  }
}
