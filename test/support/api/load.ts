import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '@yuxi/testing';

export interface Sent {
  kind: string;
  /** 0: the connection broke before the answer. */
  status: number;
  detail: string;
  /** Time until the answer, milliseconds. */
  took: number;
}

/** Sends one request. */
export type Call = () => Promise<{ status: number; body: unknown }>;

/** Repeats requests of several kinds until it is stopped. Each kind is sequential, with its own pause. */
export class Load {
  readonly sent: Sent[] = [];
  readonly #kinds = new Set<string>();
  readonly #loops: Promise<void>[] = [];
  #stopped = false;

  /** @param every milliseconds between an answer and the next call */
  run(kind: string, every: number, call: Call): void {
    this.#kinds.add(kind);
    this.#loops.push(this.#loop(kind, every, call));
  }

  /** Requests without a 2xx answer. */
  failed(): Sent[] {
    return this.sent.filter(({ status }) => status < 200 || status >= 300);
  }

  /** Quantile of the response times, milliseconds. */
  quantile(share: number): number {
    const took = this.sent.map((each) => each.took).toSorted((a, b) => a - b);
    return took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Number.NaN;
  }

  /** Waits for `count` more answers of each kind. */
  async more(count: number, timeout: number): Promise<void> {
    const from = this.sent.length;
    await eventually(
      () => {
        const since = this.sent.slice(from);
        for (const kind of this.#kinds) {
          const got = since.filter((each) => each.kind === kind).length;
          if (got < count) throw new Error(`${got} answers to ${kind}`);
        }
      },
      { timeout, every: 20, describe: `${count} more answers of each kind` },
    );
  }

  /** Resolves after the last answer. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(kind: string, every: number, call: Call): Promise<void> {
    while (!this.#stopped) {
      const from = performance.now();
      const [status, detail] = await call().then(
        (answer) => [answer.status, answer.status < 300 ? '' : JSON.stringify(answer.body)] as const,
        (error: unknown) => [0, String(error)] as const,
      );
      this.sent.push({ kind, status, detail, took: performance.now() - from });
      await pause(every);
    }
  }
}
