import { type ChildProcess, fork } from 'node:child_process';
import { notePid } from './run-folder.js';

interface CallRequest {
  id: number;
  name: string;
  params: never;
}

interface CallResponse {
  id: number;
  result: unknown;
  error?: string;
}

/** What a worker can be called for, by name. */
export type CallHandlers = Record<string, (params: never) => unknown>;

/** A child process with remote procedure calls. Its file calls {@link handleCalls}. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  /** Resolves when the process has ended for any reason. */
  readonly ended: Promise<void>;
  readonly #pending = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #lastId = 0;

  /** @param file an ES module */
  constructor(file: string) {
    this.#child = fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
    const removeNote = notePid(this.#child.pid ?? 0, file, 'SIGKILL');
    this.#child.on('message', ({ id, result, error }: CallResponse) => {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) pending?.resolve(result);
      else pending?.reject(new Error(error));
    });
    this.ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
    this.#child.once('exit', () => {
      removeNote();
      for (const pending of this.#pending.values()) pending.reject(new Error('the worker ended before it answered'));
      this.#pending.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Rejects with the error of the handler, or when the worker ends first. */
  call(name: string, params: object = {}): Promise<unknown> {
    const id = this.#lastId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#child.send({ id, name, params }, (error) => {
        if (error) reject(error);
      });
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends SIGKILL, which also ends a process that is stopped, and waits for the end. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}

/** In the worker: answers the calls of the parent process, and ends with it. */
export function handleCalls(handlers: CallHandlers): void {
  const handle = async ({ id, name, params }: CallRequest) => {
    try {
      process.send!({ id, result: await handlers[name]!(params) });
    } catch (error) {
      process.send!({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  };
  process.on('message', (request: CallRequest) => void handle(request));
  process.once('disconnect', () => process.exit(0));
}
