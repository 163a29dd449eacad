import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { Logger } from '@nestjs/common';
import { Periodic } from '@yuxi/core';

/** How often the main loop counts a tick, milliseconds. */
const TICK = 500;
const RESTART_AFTER = 1000;

/** Data given to every such thread. */
export interface HeartbeatThreadData {
  /** One number that increases while the main loop turns. */
  ticks: Int32Array;
  /** A process whose main loop is blocked for this time loses its tasks, milliseconds. */
  maxBlock: number;
}

/** A thread that renews the leases of this process even while a handler blocks the main loop. It is started again when it ends. */
export class HeartbeatThread<Order, Report> {
  readonly #log = new Logger('Heartbeat');
  readonly #ticks = new Int32Array(new SharedArrayBuffer(4));
  readonly #ticking = new Periodic(() => Atomics.add(this.#ticks, 0, 1), { every: TICK, jitter: 0 });
  #thread?: Worker;
  #stopped = false;

  /**
   * @param file of the thread, as an export of this package. Tests run the sources, and find the compiled file by it as well.
   * @param on `started`: a thread has started and has no orders yet
   */
  constructor(
    private readonly file: 'heartbeat-thread' | 'lease-thread',
    private readonly data: Omit<HeartbeatThreadData, 'ticks'>,
    private readonly on: { started(): void; reported(report: Report): void },
  ) {}

  get running(): boolean {
    return this.#thread !== undefined;
  }

  start(): void {
    this.#ticking.start();
    this.#begin();
  }

  /** An order given while no thread runs is lost. */
  post(order: Order): void {
    this.#thread?.postMessage(order);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    void this.#ticking.stop();
    await this.#thread?.terminate();
  }

  #begin(): void {
    const workerData = { ...this.data, ticks: this.#ticks } satisfies HeartbeatThreadData;
    const path = createRequire(import.meta.url).resolve(`@yuxi/tasks/${this.file}`);
    const thread = new Worker(path, { workerData, name: this.file });
    thread.unref();
    thread.on('message', (report: Report) => this.on.reported(report));
    thread.on('error', (error) => this.#log.error(`the heartbeat thread failed and is restarted: ${error.message}`));
    thread.on('exit', () => {
      if (!this.#stopped) setTimeout(() => this.#stopped || this.#begin(), RESTART_AFTER).unref();
    });
    this.#thread = thread;
    this.on.started();
  }
}
