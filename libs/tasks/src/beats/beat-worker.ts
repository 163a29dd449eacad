import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { Logger } from '@nestjs/common';

/** How often the main loop shows that it lives, milliseconds. */
const TICK = 500;
const RESTART_AFTER = 1000;

/** Given to every such thread. */
export interface BeatWorkerData {
  /** Counts on while the main loop turns. */
  ticks: Int32Array;
  /** A main loop that stood still for so long is given up, milliseconds. */
  maxBlock: number;
}

/** A thread that no handler can hold up, which renews what the main loop of this process holds. It starts again when it ends. */
export class BeatWorker<Order, News> {
  readonly #log = new Logger('Beats');
  readonly #ticks = new Int32Array(new SharedArrayBuffer(4));
  #thread?: Worker;
  #timer?: NodeJS.Timeout;
  #stopped = false;

  /**
   * @param file of the thread, as an export of this package: tests, which run the sources, find the compiled one too
   * @param begun a thread has started, and knows nothing yet
   */
  constructor(
    private readonly file: 'beat-thread' | 'lease-thread',
    private readonly data: Omit<BeatWorkerData, 'ticks'>,
    private readonly on: { begun(): void; heard(news: News): void },
  ) {}

  get running(): boolean {
    return this.#thread !== undefined;
  }

  start(): void {
    this.#timer = setInterval(() => Atomics.add(this.#ticks, 0, 1), TICK).unref();
    this.#begin();
  }

  /** Lost while the thread is not running. */
  post(order: Order): void {
    this.#thread?.postMessage(order);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#thread?.terminate();
  }

  #begin(): void {
    const workerData = { ...this.data, ticks: this.#ticks } satisfies BeatWorkerData;
    const path = createRequire(import.meta.url).resolve(`@yuxi/tasks/${this.file}`);
    const thread = new Worker(path, { workerData, name: this.file });
    thread.unref();
    thread.on('message', (news: News) => this.on.heard(news));
    thread.on('error', (error) => this.#log.error(`the beats of the workers stopped: ${error.message}`));
    thread.on('exit', () => {
      if (!this.#stopped) setTimeout(() => this.#stopped || this.#begin(), RESTART_AFTER).unref();
    });
    this.#thread = thread;
    this.on.begun();
  }
}
