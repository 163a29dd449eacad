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
  /** Every line written so far. */
  readonly logs: string[];
  /** What it answers to a scrape. */
  metrics(): Promise<string>;
  /** SIGTERM, after 30 seconds SIGKILL; resolves with the exit code, -1 when a signal ended it. */
  stop(): Promise<number>;
  /** SIGKILL, waits for the end. */
  kill(): Promise<void>;
  /** SIGSTOP. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts it again with the same ports and environment; a running one is killed first. */
  restart(): Promise<void>;
}

const STOP_WITHIN = 30_000;
const LINES_SHOWN = 15;

/** Of every running replica: gives its last lines. The test environment shows them with a failure. */
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

  /** @throws Error with the process's own lines when it ends before it serves. */
  async start(readyWithin: number): Promise<void> {
    this.#child = await Child.start({
      name: `replica :${this.port}`,
      command: process.execPath,
      args: ['--enable-source-maps', this.entry],
      cwd: temporaryFolder('cwd'),
      logFile: this.#logFile,
      env: this.env,
    });
    running.add(this.#lastLines);
    await this.#child.untilReady(() => this.#serves(), readyWithin, 50);
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.metricsPort}/metrics`)).text();
  }

  async stop(): Promise<number> {
    const code = (await this.#child?.end('SIGTERM', STOP_WITHIN)) ?? -1;
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

  async #serves(): Promise<boolean> {
    try {
      const response = await fetch(`${this.baseUrl}/health/startup`, { signal: AbortSignal.timeout(2_000) });
      await response.arrayBuffer();
      return response.status === 200;
    } catch {
      return false;
    }
  }
}
