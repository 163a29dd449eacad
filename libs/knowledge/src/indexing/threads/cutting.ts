import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { CutOrder, CutPlan, CutStep } from './cut-document.js';
import type { CutMessage, CutTask, WholeCut } from './document.thread.js';
import { accepted } from './refusal.js';

export interface CuttingOptions {
  /** Longest wait for the next message, milliseconds. */
  time: number;
  /** Translates an error of the thread to one for the caller. */
  explain: (error: unknown, late: boolean) => unknown;
  /** Called once, when the thread is free again. */
  leave: () => void;
}

/** A document that is being divided into chunks: first the plan, then the new chunks. Disposing stops the thread unless it has finished. */
export interface Cutting extends AsyncDisposable {
  readonly plan: CutPlan;
  /** The thread makes the next step while the caller processes the current one. */
  steps(): AsyncGenerator<CutStep, void>;
}

/** A document whose steps arrived in one message. */
export class FinishedCutting implements Cutting {
  readonly plan: CutPlan;

  constructor(private readonly whole: WholeCut) {
    this.plan = whole.plan;
  }

  async *steps(): AsyncGenerator<CutStep, void> {
    yield* this.whole.steps;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A document that a thread divides step by step. */
export class SteppedCutting implements Cutting {
  #plan!: CutPlan;
  #finished = false;
  readonly #messages: CutMessage[] = [];
  #wake: (() => void) | undefined;

  private constructor(
    private readonly port: MessagePort,
    private readonly ended: Promise<void>,
    private readonly stop: AbortController,
    private readonly options: CuttingOptions,
  ) {
    port.on('message', (message: CutMessage) => {
      this.#messages.push(message);
      this.#wake?.();
    });
    // Errors reach the caller that waits for a message.
    ended.catch(() => undefined).finally(options.leave);
  }

  /** @param start runs the task in a thread; resolves when the task ends */
  static async begin(
    order: CutOrder,
    start: (task: CutTask, stop: AbortSignal) => Promise<void>,
    options: CuttingOptions,
  ): Promise<SteppedCutting> {
    const { port1, port2 } = new MessageChannel();
    const stop = new AbortController();
    const cutting = new SteppedCutting(port1, start({ order, port: port2 }, stop.signal), stop, options);
    try {
      cutting.#plan = (await cutting.#next()) as CutPlan;
      return cutting;
    } catch (error) {
      await cutting[Symbol.asyncDispose]();
      throw error;
    }
  }

  get plan(): CutPlan {
    return this.#plan;
  }

  async *steps(): AsyncGenerator<CutStep, void> {
    this.#askForStep();
    for (;;) {
      const step = (await this.#next()) as CutStep | null;
      if (!step) break;
      this.#askForStep();
      yield step;
    }
    this.#finished = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#finished) this.stop.abort();
    await this.ended.catch(() => undefined);
    this.port.close();
  }

  #askForStep(): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a thread, not a window
    this.port.postMessage(null);
  }

  async #next(): Promise<CutMessage> {
    const late = setTimeout(() => this.stop.abort(), this.options.time);
    try {
      return accepted(await this.#message());
    } catch (error) {
      throw this.options.explain(error, this.stop.signal.aborted);
    } finally {
      clearTimeout(late);
    }
  }

  async #message(): Promise<CutMessage> {
    while (this.#messages.length === 0) {
      const arrival = new Promise<'arrived'>((resolve) => (this.#wake = () => resolve('arrived')));
      const first = await Promise.race([arrival, this.ended.then(() => 'ended' as const)]);
      // The last message may arrive after the end of the task.
      if (first === 'ended' && this.#messages.length === 0) await arrival;
    }
    return this.#messages.shift()!;
  }
}
