import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import type { SqlThreadClient } from '@yuxi/core';
import type { LeaseOrder, LeaseReport, LeaseThreadData } from './leases.js';
import { sharedMs, watchMainLoop } from './main-loop.js';

// This thread imports nothing of the application, so that it needs only a few megabytes.
const data = workerData as LeaseThreadData;
const { source, worker, lease } = data;
const mainLoopTurns = watchMainLoop(data);
const every = lease / 5;

let held: LeaseOrder = [];
parentPort!.on('message', (ids: LeaseOrder) => (held = ids));

let client: SqlThreadClient | undefined;

async function renew(): Promise<void> {
  const sentAt = sharedMs();
  try {
    if (!client) {
      const module = (await import(pathToFileURL(source.module).href)) as {
        open(data: unknown): Promise<SqlThreadClient>;
      };
      client = await module.open(source.data);
    }
    // Rows are locked in order of id, as in every statement about tasks.
    const { rows } = await client.query<{ id: string }>(
      `WITH mine AS (
         SELECT id FROM tasks WHERE id = ANY($1::text[]) AND worker = $2 AND status = 'running' ORDER BY id FOR UPDATE)
       UPDATE tasks AS t SET lease_until = now() + $3 * interval '1 ms' FROM mine WHERE t.id = mine.id RETURNING t.id`,
      [held, worker, lease],
      { timeout: lease / 2 },
    );
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- this is a thread, not a window
    parentPort!.postMessage({ ids: rows.map(({ id }) => id), sentAt } satisfies LeaseReport);
  } catch {
    // The main thread logs failures of the database. This thread would log them a second time.
    // The close is not awaited, because it may never end on a connection without answers.
    void client?.close();
    client = undefined;
  }
}

for (;;) {
  const from = performance.now();
  if (held.length > 0 && mainLoopTurns()) await renew();
  await pause(Math.max(10, every - (performance.now() - from)));
}
