/**
 * The smallest share, over all replicas, of the time in which a replica was running at least one task while tasks were
 * still waiting. Read from what the tasks themselves recorded: worker, start and end.
 */
export async function busyShare(pool, replicas, dbId) {
  const { rows } = await pool.query(
    `SELECT worker, extract(epoch FROM started_at) * 1000 AS started, extract(epoch FROM completed_at) * 1000 AS ended
       FROM tasks WHERE NOT is_group AND started_at IS NOT NULL AND payload ->> 'dbId' = $1 ORDER BY started_at`,
    [dbId],
  );
  const from = Math.min(...rows.map(({ started }) => Number(started)));
  // After the start of the last task no task waits.
  const until = Math.max(...rows.map(({ started }) => Number(started)));
  const busy = new Map();
  for (const { worker, started, ended } of rows) {
    const state = busy.get(worker) ?? { covered: from, total: 0 };
    const begin = Math.max(Number(started), state.covered);
    const end = Math.min(Number(ended), until);
    if (end > begin) {
      state.total += end - begin;
      state.covered = end;
    }
    busy.set(worker, state);
  }
  if (busy.size < replicas) return 0;
  return Math.min(...[...busy.values()].map(({ total }) => total / (until - from)));
}
