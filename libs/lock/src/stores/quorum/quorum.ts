import { defineScript, type RedisClient, RedisUnavailableError, unavailableReason } from '@yuxi/redis';

const QUORUM = defineScript('quorum', new URL('../../lua/quorum.lua', import.meta.url), 1);

export type QuorumOperation = 'acquire' | 'renew' | 'release';
/** `split`: neither side has a majority. */
export type Verdict = 'yes' | 'no' | 'split';

/** Asks independent nodes the same at once and counts their answers. */
export class Quorum {
  /** How many make a majority. */
  readonly majority: number;

  constructor(
    private readonly nodes: readonly RedisClient[],
    /** A node that says nothing for so long counts as one that failed, milliseconds. */
    private readonly nodeTimeoutMs: number,
  ) {
    this.majority = Math.floor(nodes.length / 2) + 1;
  }

  /**
   * Resolves as soon as the rest cannot change it; every node gets the command all the same.
   * @throws {RedisUnavailableError} when so many failed that the others are no majority
   */
  ask(operation: QuorumOperation, key: string, token: string, ttlMs = 0): Promise<Verdict> {
    let [yes, no] = [0, 0];
    const failures: unknown[] = [];
    return new Promise((resolve, reject) => {
      const count = () => {
        const pending = this.nodes.length - yes - no - failures.length;
        if (yes >= this.majority) resolve('yes');
        // Fewer than a majority are left that hold the token, whatever the rest will say.
        else if (no > this.nodes.length - this.majority) resolve('no');
        else if (pending > 0) return;
        else if (yes + no < this.majority) reject(because(failures));
        else resolve('split');
      };
      for (const answer of this.#send(operation, key, token, ttlMs))
        answer
          .then(
            (done) => (done === 1 ? yes++ : no++),
            (error: unknown) => failures.push(error),
          )
          .then(count, reject);
    });
  }

  /** Takes the token from all nodes; resolves when each has answered. @throws {RedisUnavailableError} when one could not be asked */
  async withdraw(key: string, token: string): Promise<void> {
    const answers = await Promise.allSettled(this.#send('release', key, token, 0));
    const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
    if (failures.length > 0) throw because(failures);
  }

  #send(operation: QuorumOperation, key: string, token: string, ttlMs: number): Promise<unknown>[] {
    // As text: after a NOSCRIPT a withdrawal could overtake the command that it withdraws.
    return this.nodes.map((node) =>
      within(this.nodeTimeoutMs, node.call('EVAL', QUORUM.source, 1, key, operation, token, ttlMs)),
    );
  }
}

/** Clients bring a command timeout of their own; this one is for those that do not. */
function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('Command timed out')), ms);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function because(failures: readonly unknown[]): unknown {
  const reason = failures.map(unavailableReason).find((each) => each !== undefined);
  return reason === undefined ? failures[0] : new RedisUnavailableError(reason, new AggregateError(failures));
}
