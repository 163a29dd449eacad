import { parseArgs } from 'node:util';

/** What the cluster command was asked for. */
export interface ClusterOptions {
  replicas: number;
  port: number;
  json: boolean;
  help: boolean;
}

/** Text of `--help`. */
export const USAGE = `Usage: npm run cluster -- [--replicas 3] [--port 5050] [--json]

Starts a private Redis and PostgreSQL, several replicas of the API and an HTTP front that hands requests to them in turn.
Everything is stopped and removed again with Ctrl-C or SIGTERM.

  --replicas N   how many replicas, 1..20 (default 3)
  --port P       port of the front, 1024..65000; the replicas listen on the ports after it (default 5050)
  --json         print one line of JSON with all addresses instead of the table
  --help         print this text
`;

function whole(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new Error(`--${name} must be a whole number ${min}..${max}, got ${JSON.stringify(text)}`);
}

/** @throws Error naming the argument that is unknown or out of range. */
export function readOptions(args: string[]): ClusterOptions {
  const { values } = parseArgs({
    args,
    options: {
      replicas: { type: 'string', default: '3' },
      port: { type: 'string', default: '5050' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return {
    replicas: whole('replicas', values.replicas, 1, 20),
    port: whole('port', values.port, 1024, 65_000),
    json: values.json,
    help: values.help,
  };
}
