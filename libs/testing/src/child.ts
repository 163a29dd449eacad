import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '@yuxi/core';
import { notePid } from './run-folder.js';

/** What is started, and how it wants to be ended. */
export interface ChildOptions {
  name: string;
  command: string;
  args: string[];
  cwd: string;
  /** Receives standard output and error. */
  logFile: string;
  env?: NodeJS.ProcessEnv;
  uid?: number;
  gid?: number;
  /** Sent by a cleaner that cannot wait; default SIGKILL. */
  endSignal?: NodeJS.Signals;
}

/** A server process that belongs to the current run. */
export class Child {
  readonly pid: number;
  /** Resolves when the process has ended: its exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>;
  #running = true;

  private constructor(
    private readonly process: ChildProcess,
    private readonly options: ChildOptions,
  ) {
    this.pid = process.pid ?? 0;
    const forget = notePid(this.pid, options.name, options.endSignal ?? 'SIGKILL');
    this.exited = new Promise((resolve) => {
      process.once('exit', (code) => {
        this.#running = false;
        forget();
        resolve(code);
      });
    });
    // A server that a test forgot must not keep the test process alive; the run's owner ends it.
    process.unref();
  }

  /** @throws Error when the program cannot be started at all. */
  static async start(options: ChildOptions): Promise<Child> {
    const log = openSync(options.logFile, 'a');
    try {
      const { command, args, cwd, env, uid, gid } = options;
      const started = spawn(command, args, {
        cwd,
        env,
        // Ctrl-C reaches a whole process group: its owner, not the terminal, decides in which order servers end.
        detached: true,
        stdio: ['ignore', log, log],
        ...(uid === undefined ? {} : { uid, gid }),
      });
      await new Promise<void>((resolve, reject) => {
        started.once('spawn', resolve);
        started.once('error', (cause) =>
          reject(new Error(`${options.name}: ${command} does not start: ${cause.message}`, { cause })),
        );
      });
      return new Child(started, options);
    } finally {
      closeSync(log);
    }
  }

  /** Waits for the end, and keeps this process alive meanwhile. */
  async untilEnd(): Promise<number | null> {
    this.process.ref();
    return this.exited;
  }

  get running(): boolean {
    return this.#running;
  }

  /** The last `lines` lines that the process wrote. */
  log(lines = 30): string {
    return readFileSync(this.options.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  signal(name: NodeJS.Signals): void {
    if (this.#running) this.process.kill(name);
  }

  /** Sends `name` (default SIGKILL), after `patience` ms SIGKILL, and waits for the end. A stopped process is woken first. */
  async end(name: NodeJS.Signals = 'SIGKILL', patience = 10_000): Promise<number | null> {
    if (!this.#running) return this.exited;
    this.signal('SIGCONT');
    this.signal(name);
    // Keeps the event loop alive, which the unreferenced child does not.
    const clock = setTimeout(() => this.signal('SIGKILL'), patience);
    try {
      return await this.exited;
    } finally {
      clearTimeout(clock);
    }
  }

  /**
   * Asks every `every` ms (default 5) whether `ready` gives true, and returns when it does.
   * @throws Error with the process's own last lines when it ends first or needs longer than `timeout` ms.
   */
  async untilReady(ready: () => Promise<boolean>, timeout: number, every = 5): Promise<void> {
    const end = monotonicMs() + timeout;
    while (this.#running && monotonicMs() < end) {
      if (await ready()) return;
      await pause(every);
    }
    const reason = this.#running ? `is not ready after ${timeout} ms` : 'ended before it was ready';
    await this.end();
    throw new Error(`${this.options.name} ${reason}. Its last lines:\n${this.log()}`);
  }
}
