import type { SqlClient, TransactionOptions } from '@yuxi/core';

/** A {@link SqlClient} that can also run a script: several statements without parameters. */
export interface ScriptClient extends SqlClient {
  script(text: string): Promise<void>;
  transaction<T>(body: (tx: ScriptClient) => Promise<T>, options?: TransactionOptions): Promise<T>;
}

/** A nested transaction is a savepoint: an error inside rolls back the inner part only. */
export async function inSavepoint<T>(
  tx: ScriptClient,
  depth: number,
  body: (tx: ScriptClient) => Promise<T>,
  inner: ScriptClient,
): Promise<T> {
  const name = `yuxi_${depth}`;
  await tx.script(`SAVEPOINT ${name}`);
  try {
    const result = await body(inner);
    await tx.script(`RELEASE SAVEPOINT ${name}`);
    return result;
  } catch (error) {
    await tx.script(`ROLLBACK TO SAVEPOINT ${name}`);
    throw error;
  }
}
