import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LockModuleOptions, LockOptions, ReleaseResult } from '@yuxi/lock';
import type { RedisOptions } from '@yuxi/redis';

const PROCESS = fileURLToPath(new URL('./lock-caller-process.mjs', import.meta.url));

/** A lock of the other process at the time of its grant. */
export interface RemoteLock {
  /** CLOCK_MONOTONIC, milliseconds. */
  grantedAt: number;
  fence: number;
  token: string;
  remainingMs: number;
}

interface Answer {
  id: number;
  answer?: unknown;
  error?: string;
  unhandled?: string;
}

/** Another process that uses locks. Its clock and its event loop can be disturbed without those of the test. */
export class LockCaller implements AsyncDisposable {
  /** Unhandled rejections. */
  readonly unhandled: string[] = [];
  readonly #pending = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>();
  readonly #child: ChildProcess;
  #orders = 0;

  private constructor() {
    this.#child = fork(PROCESS, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
    this.#child.on('message', (message) => this.#take(message as Answer));
    this.#child.once('exit', (code) => {
      for (const { reject } of this.#pending.values()) reject(new Error(`The process has ended (${code})`));
    });
  }

  static async start(redis: RedisOptions, options: LockModuleOptions = {}): Promise<LockCaller> {
    const caller = new LockCaller();
    const ready = caller.#answer(0);
    caller.#child.send({ redis, options });
    await ready;
    return caller;
  }

  /** @throws Error with the code of the error in the other process as message */
  acquire(name: string, options?: LockOptions): Promise<RemoteLock> {
    return this.#send('acquire', { name, options });
  }

  isFree(name: string): Promise<boolean> {
    return this.#send('isFree', { name });
  }

  release(name: string): Promise<ReleaseResult> {
    return this.#send('release', { name });
  }

  /** The lock, and the wall clock of that process. */
  inspect(name: string): Promise<{ wall: number; aborted: boolean; remainingMs: number }> {
    return this.#send('inspect', { name });
  }

  /** Shifts its wall clock by `ms`. */
  shift(ms: number): Promise<void> {
    return this.#send('shift', { ms });
  }

  /** Blocks its event loop for `ms`; resolves when that begins. */
  block(ms: number): Promise<void> {
    return this.#send('block', { ms });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await exited;
  }

  #send<T>(order: string, details: object): Promise<T> {
    const id = ++this.#orders;
    const answer = this.#answer(id);
    this.#child.send({ id, order, ...details });
    return answer as Promise<T>;
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  #take({ id, answer, error, unhandled }: Answer): void {
    if (unhandled !== undefined) return void this.unhandled.push(unhandled);
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(answer);
    else pending?.reject(new Error(error));
  }
}
