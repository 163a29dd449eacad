import type { ScriptClient } from './drivers/driver.js';

interface Blocker {
  pid: number;
  what: string;
  state: string | null;
  seconds: number;
  tables: string;
}

/** Most sessions that are named. */
const SHOWN = 3;

/**
 * Transactions that held tables of this database during a wait that has just failed, oldest first: whoever it waited for is one of them.
 * Nothing of their statements: these may hold what users wrote.
 * @param waited milliseconds
 */
export async function describeBlockers(sql: ScriptClient, waited: number): Promise<string> {
  const { rows } = await sql.query<Blocker>(
    `SELECT a.pid, concat_ws(' of ', NULLIF(COALESCE(NULLIF(a.application_name, ''), a.backend_type), ''), a.usename) AS what, a.state,
            extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
            string_agg(DISTINCT c.relname, ', ') AS tables
     FROM pg_stat_activity a
     JOIN pg_locks l ON l.pid = a.pid AND l.granted AND l.locktype = 'relation'
     JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
     JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema')
     WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
       AND a.xact_start <= clock_timestamp() - $1 * interval '1 ms'
     GROUP BY a.pid, what, a.state, a.xact_start ORDER BY a.xact_start LIMIT ${SHOWN}`,
    [waited],
  );
  if (rows.length === 0) return 'several short transactions followed each other';
  return rows
    .map(({ pid, what, state, seconds, tables }) => {
      const since = `${state ?? 'open'} for ${Math.round(seconds)} s`;
      return `session ${pid} (${what}, ${since}) holds ${tables}`;
    })
    .join('; ');
}
