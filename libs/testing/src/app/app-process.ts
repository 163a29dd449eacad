import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../child.js';
import { temporaryFolder } from '../run-folder.js';

/** One running process of the API. */
export interface Replica {
  /** `http://127.0.0.1:<port>`, without a slash at the end. */
  baseUrl: string;
  port: number;
  metricsPort: number;
  readonly pid: number;
  /** All lines that it has written. */
  readonly logs: string[];
  /** Text of its metrics endpoint. */
  metrics(): Promise<string>;
  /** SIGTERM, and SIGKILL after 30 seconds. @returns the exit code, or -1 when a signal ended it */
  stop(): Promise<number>;
  /** SIGKILL; waits for the end. */
  kill(): Promise<void>;
  /** SIGSTOP. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts it again with the same ports and environment; kills it first when it runs. */
  restart(): Promise<void>;
}

const STOP_TIMEOUT_MS = 30_000;
const LINES_SHOWN = 15;

/** For each running replica a function that returns its last lines. The test environment shows them with a failure. */
const running = ((globalThis as Record<symbol, unknown>)[Symbol.for('yuxi.running')] ??= new Set()) as Set<
  () => string
>;

/** The process behind a {@link Replica}. */
export class AppProcess implements Replica {
  readonly baseUrl: string;
  readonly #logFile = join(temporaryFolder('replica'), 'output.log');
  #child: Child | undefined;
  readonly #lastLines = () => {
    const lines = this.logs.slice(-LINES_SHOWN).map((line) => `  ${line.slice(0, 400)}`);
    return `replica :${this.port}, pid ${this.pid}${this.#child?.running ? '' : ', has ended'}\n${lines.join('\n')}`;
  };

  constructor(
    private readonly entry: string,
    readonly port: number,
    readonly metricsPort: number,
    private readonly env: NodeJS.ProcessEnv,
  ) {
    this.baseUrl = `http://127.0.0.1:${port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get logs(): string[] {
    return readFileSync(this.#logFile, 'utf8').split('\n').filter(Boolean);
  }

  /** @throws Error with the last lines of the process when it ends before it is ready */
  async start(readyTimeout: number): Promise<void> {
    this.#child = await Child.start({
      name: `replica :${this.port}`,
      command: process.execPath,
      args: ['--enable-source-maps', this.entry],
      cwd: temporaryFolder('cwd'),
      logFile: this.#logFile,
      env: this.env,
    });
    running.add(this.#lastLines);
    await this.#child.untilReady(() => this.#isReady(), readyTimeout, 50);
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.metricsPort}/metrics`)).text();
  }

  async stop(): Promise<number> {
    const code = (await this.#child?.end('SIGTERM', STOP_TIMEOUT_MS)) ?? -1;
    running.delete(this.#lastLines);
    return code;
  }

  async kill(): Promise<void> {
    await this.#child?.end('SIGKILL');
  }

  pause(): void {
    this.#child?.signal('SIGSTOP');
  }

  resume(): void {
    this.#child?.signal('SIGCONT');
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start(60_000);
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`${this.baseUrl}/health/startup`, { signal: AbortSignal.timeout(2_000) });
      await response.arrayBuffer();
      return response.status === 200;
    } catch {
      return false;
    }
  }
}
