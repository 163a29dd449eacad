import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '@yuxi/testing';

export interface Sent {
  kind: string;
  /** 0: the connection broke before there was an answer. */
  status: number;
  detail: string;
  /** Until the answer was there, milliseconds. */
  took: number;
}

/** One kind of call; resolves with the answer. */
export type Call = () => Promise<{ status: number; body: unknown }>;

/** Calls that go on, each kind one after the other at its own pace, until stopped. */
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

  /** Those that were not answered with a 2xx. */
  failed(): Sent[] {
    return this.sent.filter(({ status }) => status < 200 || status >= 300);
  }

  /** The time in which that share of the answers was there, milliseconds. */
  quantile(share: number): number {
    const took = this.sent.map((each) => each.took).toSorted((a, b) => a - b);
    return took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Number.NaN;
  }

  /** Waits until there are `count` more answers of each kind. */
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

  /** Resolves when the last answer is there. */
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
