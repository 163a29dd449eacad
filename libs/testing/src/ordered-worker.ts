import { type ChildProcess, fork } from 'node:child_process';
import { notePid } from './run-folder.js';

interface Answer {
  id: number;
  answer: unknown;
  error?: string;
}

/** What a worker can be told to do, by name. */
export type Orders = Record<string, (order: never) => unknown>;

/** A process that does what it is told, with one answer for each order. Its file calls {@link takeOrders}. */
export class OrderedWorker {
  readonly #child: ChildProcess;
  /** Resolves when the process is gone, however it ended. */
  readonly ended: Promise<void>;
  readonly #waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  #orders = 0;

  /** @param file an ES module */
  constructor(file: string) {
    this.#child = fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
    const forget = notePid(this.#child.pid ?? 0, file, 'SIGKILL');
    this.#child.on('message', ({ id, answer, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(answer);
      else waiting?.reject(new Error(error));
    });
    this.ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
    this.#child.once('exit', () => {
      forget();
      for (const waiting of this.#waiting.values()) waiting.reject(new Error('the worker ended before it answered'));
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Rejects with what the order threw, or when the worker ends first. */
  order(name: string, order: object = {}): Promise<unknown> {
    const id = this.#orders++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, name, order }, (error) => {
        if (error) reject(error);
      });
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it without a warning, also while it is stopped. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}

/** In the worker: carries out what the process that started it orders, and ends with it. */
export function takeOrders(orders: Orders): void {
  const obey = async (id: number, name: string, order: never) => {
    try {
      process.send!({ id, answer: await orders[name]!(order) });
    } catch (error) {
      process.send!({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  };
  process.on(
    'message',
    ({ id, name, order }: { id: number; name: string; order: never }) => void obey(id, name, order),
  );
  process.once('disconnect', () => process.exit(0));
}
