import { parseArgs } from 'node:util';
import { integerOption } from '@yuxi/core';

/** Options of the cluster command. */
export interface ClusterOptions {
  replicas: number;
  port: number;
  json: boolean;
  help: boolean;
}

/** Text of `--help`. */
export const USAGE = `Usage: npm run cluster -- [--replicas 3] [--port 5050] [--json]

Starts a private Redis and PostgreSQL, several replicas of the API, and an HTTP front that sends requests to them in turn.
Ctrl-C or SIGTERM stops and removes everything.

  --replicas N   number of replicas, 1..20 (default 3)
  --port P       port of the front, 1024..65000; the replicas listen on the ports after it (default 5050)
  --json         print one line of JSON with all addresses instead of the table
  --help         print this text
`;

function readInteger(option: string, text: string, min: number, max: number): number {
  return integerOption(option, /^\d{1,9}$/.test(text) ? Number(text) : text, { min, max });
}

/** @throws Error naming the option that is unknown or out of range */
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
    replicas: readInteger('--replicas', values.replicas, 1, 20),
    port: readInteger('--port', values.port, 1024, 65_000),
    json: values.json,
    help: values.help,
  };
}
