import type { Socket } from 'node:net';
import { jitter, Periodic, within } from '@yuxi/core';
import type { Cluster, Redis } from 'ioredis';
import type { ConnectionRole } from './client.factory.js';
import type { RedisClient } from './redis.tokens.js';

const CHECK_INTERVAL = 1000;
const RECONNECT_DELAY = 100;
/** ioredis leaves these states within a retry delay. A client that stays in one has lost its timer. */
const TRANSIENT_STATES = new Set(['reconnecting', 'close', 'disconnecting']);
const STUCK_AFTER_CHECKS = 3;
const QUIT_TIMEOUT = 250;

interface Pinged {
  socket: Socket;
  bytesRead: number;
}

/** Keeps one client connected: reconnects one that has ended, disconnects sockets that have gone silent, closes it at shutdown. */
export class ConnectionSupervisor {
  readonly #checks: Periodic;
  readonly #pinged = new WeakMap<Redis, Pinged>();
  #closing = false;
  #reconnectTimer: NodeJS.Timeout | undefined;
  #lastStatus = '';
  #transientChecks = 0;

  constructor(
    readonly client: RedisClient,
    private readonly role: ConnectionRole,
  ) {
    client.on('end', () => this.#reconnectSoon());
    // Deferred, so that an answer that arrived while this process was busy is read first.
    this.#checks = new Periodic(() => setImmediate(() => this.#check()), { every: CHECK_INTERVAL, jitter: 0 });
    this.#checks.start();
  }

  /** Waits a moment for commands in flight, then closes permanently. Never throws. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    void this.#checks.stop();
    clearTimeout(this.#reconnectTimer);
    const { client } = this;
    if (client.status === 'end') return;
    if (client.status === 'ready')
      await within(QUIT_TIMEOUT, client.quit(), () => new Error('Command timed out')).catch(() => undefined);
    client.disconnect();
  }

  #reconnectSoon(): void {
    if (this.#closing) return;
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = setTimeout(() => this.#reconnect(), jitter(RECONNECT_DELAY));
  }

  #reconnect(): void {
    if (this.#closing) return;
    // A failed attempt leads to a retry by ioredis, or to another `end`.
    this.client.connect().catch(() => undefined);
  }

  #check(): void {
    if (this.#closing) return;
    this.#checkStatus();
    if (this.client.status !== 'ready' || this.role === 'blocking') return;
    const links = this.client.isCluster ? (this.client as Cluster).nodes() : [this.client as Redis];
    for (const link of links) this.#checkLink(link);
  }

  #checkStatus(): void {
    const { status } = this.client;
    this.#transientChecks = TRANSIENT_STATES.has(status) && status === this.#lastStatus ? this.#transientChecks + 1 : 0;
    this.#lastStatus = status;
    if (this.#transientChecks < STUCK_AFTER_CHECKS) return;
    this.#transientChecks = 0;
    this.#reconnect();
  }

  #checkLink(link: Redis): void {
    if (link.status !== 'ready') return;
    const socket = link.stream;
    const before = this.#pinged.get(link);
    if (before?.socket === socket && before.bytesRead === socket.bytesRead) {
      // On a Cluster the pool drops the node and finds it again through the others.
      link.disconnect(!this.client.isCluster);
      return;
    }
    this.#pinged.set(link, { socket, bytesRead: socket.bytesRead });
    link.ping().catch(() => undefined);
  }
}
