import type { ScriptClient } from './driver.js';

/** A transaction inside a transaction: a savepoint, so that the inner throw undoes the inner part only. */
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
