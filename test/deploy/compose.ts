import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export interface Service {
  image: string;
  build?: string;
  command?: string[];
  user?: string;
  environment?: Record<string, string>;
  secrets?: string[];
  ports?: string[];
  tmpfs?: string[];
  volumes?: (string | { source: string; target: string; read_only?: boolean })[];
  read_only?: boolean;
  cap_drop?: string[];
  stop_grace_period?: string;
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test?: string[] };
}

export interface ComposeFile {
  services: Record<string, Service>;
  secrets: Record<string, { file?: string; environment?: string }>;
  configs: Record<string, { file: string }>;
}

/** docker-compose.yml, parsed; `<<` merges. */
export function readCompose(): ComposeFile {
  return parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as ComposeFile;
}

/** A text of the file as the container gets it: compose writes `$` for `$$`. */
export const asStarted = (text: string) => text.replaceAll('$$', '$');
