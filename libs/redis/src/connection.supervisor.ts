import type { Socket } from 'node:net';
import { jitter } from '@yuxi/core';
import type { Cluster, Redis } from 'ioredis';
import type { ConnectionRole } from './client.options.js';
import type { RedisClient } from './redis.tokens.js';

const BEAT = 1000;
const REVIVE_DELAY = 100;
/** A live client leaves these states within a retry delay; one that stays has lost its timer. */
const STUCK_AFTER_BEATS = 3;
const RESTLESS = new Set(['reconnecting', 'close', 'disconnecting']);
const QUIT_TIMEOUT = 250;

interface Pinged {
  socket: Socket;
  bytesRead: number;
}

/** Keeps one client alive: revives it when it ended on its own, cuts links that have gone silent, closes it in the end. */
export class ConnectionSupervisor {
  readonly #beat: NodeJS.Timeout;
  readonly #pinged = new WeakMap<Redis, Pinged>();
  #closing = false;
  #revival: NodeJS.Timeout | undefined;
  #lastStatus = '';
  #restlessBeats = 0;

  constructor(
    readonly client: RedisClient,
    private readonly role: ConnectionRole,
  ) {
    client.on('end', () => this.#reviveSoon());
    // Behind a deferral: an answer that arrived while this process was busy is read before the verdict.
    this.#beat = setInterval(() => setImmediate(() => this.#onBeat()), BEAT).unref();
  }

  /** Lets commands in flight finish for a moment, then closes for good. Never throws. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearInterval(this.#beat);
    clearTimeout(this.#revival);
    const { client } = this;
    if (client.status === 'end') return;
    if (client.status === 'ready') {
      const late = new Promise<void>((resolve) => setTimeout(resolve, QUIT_TIMEOUT).unref());
      await Promise.race([client.quit().catch(() => undefined), late]);
    }
    client.disconnect();
  }

  #reviveSoon(): void {
    if (this.#closing) return;
    clearTimeout(this.#revival);
    this.#revival = setTimeout(() => this.#revive(), jitter(REVIVE_DELAY));
  }

  #revive(): void {
    if (this.#closing) return;
    // A failed attempt ends in a retry or in another `end`; both come back here or to ioredis' own timer.
    this.client.connect().catch(() => undefined);
  }

  #onBeat(): void {
    if (this.#closing) return;
    this.#watchStatus();
    if (this.client.status !== 'ready' || this.role === 'blocking') return;
    const links = this.client.isCluster ? (this.client as Cluster).nodes() : [this.client as Redis];
    for (const link of links) this.#watchLink(link);
  }

  #watchStatus(): void {
    const { status } = this.client;
    this.#restlessBeats = RESTLESS.has(status) && status === this.#lastStatus ? this.#restlessBeats + 1 : 0;
    this.#lastStatus = status;
    if (this.#restlessBeats < STUCK_AFTER_BEATS) return;
    this.#restlessBeats = 0;
    this.#revive();
  }

  #watchLink(link: Redis): void {
    if (link.status !== 'ready') return;
    const socket = link.stream;
    const before = this.#pinged.get(link);
    if (before?.socket === socket && before.bytesRead === socket.bytesRead) {
      // On a Cluster the node is dropped from the pool and found again through the others.
      link.disconnect(!this.client.isCluster);
      return;
    }
    this.#pinged.set(link, { socket, bytesRead: socket.bytesRead });
    link.ping().catch(() => undefined);
  }
}
