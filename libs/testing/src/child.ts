import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '@yuxi/core';
import { notePid } from './run-folder.js';

/** A program to start. */
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
  /** Signal for a cleanup that cannot wait; default SIGKILL. */
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
    const removeNote = notePid(this.pid, options.name, options.endSignal ?? 'SIGKILL');
    this.exited = new Promise((resolve) => {
      process.once('exit', (code) => {
        this.#running = false;
        removeNote();
        resolve(code);
      });
    });
    // A server that a test does not stop must not keep the test process alive; the owner of the run ends it.
    process.unref();
  }

  /** @throws Error when the program cannot be started */
  static async start(options: ChildOptions): Promise<Child> {
    const log = openSync(options.logFile, 'a');
    try {
      const { command, args, cwd, env, uid, gid } = options;
      const started = spawn(command, args, {
        cwd,
        env,
        // Ctrl-C goes to a whole process group. In a group of its own the owner decides in which order the servers end.
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

  /** Waits for the end, and keeps this process running meanwhile. */
  async untilEnd(): Promise<number | null> {
    this.process.ref();
    return this.exited;
  }

  get running(): boolean {
    return this.#running;
  }

  /** The last lines of its output. */
  log(lines = 30): string {
    return readFileSync(this.options.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  signal(name: NodeJS.Signals): void {
    if (this.#running) this.process.kill(name);
  }

  /** Sends a signal, and SIGKILL after `timeout` ms, and waits for the end. A stopped process is resumed first. */
  async end(name: NodeJS.Signals = 'SIGKILL', timeout = 10_000): Promise<number | null> {
    if (!this.#running) return this.exited;
    this.signal('SIGCONT');
    this.signal(name);
    // Keeps the event loop alive, which the unreferenced child does not.
    const timer = setTimeout(() => this.signal('SIGKILL'), timeout);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Waits until `ready` returns true; calls it every `every` ms (default 5).
   * @throws Error with the last lines of the process when it ends before, or takes longer than `timeout` ms
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
