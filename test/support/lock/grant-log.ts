import { connect, type Socket } from 'node:net';
import type { RedisServer } from '@yuxi/testing';

/** The owners of one lock that each data node, master or replica, has received: reads their MONITOR streams. */
export class GrantLog {
  readonly #tokens = new Map<number, Set<string>>();
  readonly #sockets = new Map<number, Socket>();
  readonly #pattern: RegExp;
  #closed = false;

  constructor(nodes: readonly RedisServer[], key: string) {
    // Commands of clients, of scripts and of the replication stream have the same form.
    this.#pattern = new RegExp(`"set" "${key}" "([^"]+)"`, 'gi');
    for (const node of nodes) this.#listen(node);
  }

  /** Whether the node ever received this token as the owner, also in a refused command. */
  hasReceived({ port }: RedisServer, token: string): boolean {
    return this.#tokens.get(port)!.has(token);
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  #listen({ host, port, password }: RedisServer): void {
    const tokens = this.#tokens.get(port) ?? new Set<string>();
    this.#tokens.set(port, tokens);
    const socket = connect({ host, port });
    this.#sockets.set(port, socket);
    let rest = '';
    socket.write(`AUTH ${password}\r\nMONITOR\r\n`);
    socket.on('data', (chunk: Buffer) => {
      const text = rest + chunk.toString('latin1');
      const end = text.lastIndexOf('\n') + 1;
      rest = text.slice(end);
      for (const [, token] of text.slice(0, end).matchAll(this.#pattern)) tokens.add(token!);
    });
    socket.on('error', () => undefined);
    // A node that is promoted closes its connections; one that was killed starts again.
    socket.on('close', () => {
      if (!this.#closed) setTimeout(() => this.#listen({ host, port, password } as RedisServer), 5);
    });
  }
}
