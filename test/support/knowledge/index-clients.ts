import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Replica, seededRandom } from '@yuxi/testing';

const CLIENT = fileURLToPath(new URL('./index-client.mjs', import.meta.url));
const BATCH = 25;

export interface IndexOrder {
  replicas: readonly Replica[];
  token: string;
  dbId: string;
  fileIds: readonly string[];
  params?: Record<string, unknown>;
  /** Seed of the order in which each client sends. The test prints it, so that a run can be repeated. */
  seed: number;
}

/**
 * Starts one client process for each replica. All of them request the indexing of each file at the same time.
 * @returns the ids of all tasks.
 */
export async function indexEverywhere({
  replicas,
  token,
  dbId,
  fileIds,
  params = {},
  seed,
}: IndexOrder): Promise<string[]> {
  const clients = await Promise.all(
    replicas.map(async ({ baseUrl }, index) => {
      const child = fork(CLIENT, { execArgv: [] });
      child.send({ baseUrl, token, dbId, params, batches: batches(shuffled(fileIds, seed + index)) });
      await once(child, 'message');
      return child;
    }),
  );
  const answers = clients.map(async (child) => {
    const exited = once(child, 'exit').then(([code]) => {
      throw new Error(`an index client ended with ${code} before it had sent everything`);
    });
    const [message] = (await Promise.race([once(child, 'message'), exited])) as [{ taskIds: string[] }];
    exited.catch(() => undefined);
    return message.taskIds;
  });
  for (const child of clients) child.send('go');
  return (await Promise.all(answers)).flat();
}

function batches(ids: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(ids.length / BATCH) }, (_, i) => ids.slice(i * BATCH, (i + 1) * BATCH));
}

/** Fisher-Yates shuffle: an equal seed gives an equal order. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const result = [...items];
  const random = seededRandom(seed);
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
