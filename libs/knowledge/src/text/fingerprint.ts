import { createHash } from 'node:crypto';

export interface FingerprintInput {
  /** Hash of the bytes of the file. */
  contentHash: string;
  /** Parameters of parsing and chunking; plain JSON, the order of keys does not matter. */
  params: Readonly<Record<string, unknown>>;
  /** Rules that made the terms, see `ANALYZER_VERSION`. */
  analyzerVersion: string;
  /** Embedding model, if there is one. */
  model?: string;
}

/** SHA-256 (hex) over everything that decides what indexing a file produces: equal means nothing would change. */
export function fingerprint({ contentHash, params, analyzerVersion, model }: FingerprintInput): string {
  return createHash('sha256').update(canonicalJson({ contentHash, params, analyzerVersion, model })).digest('hex');
}

/** JSON with sorted keys at every depth. A property that is `undefined` counts as absent. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => (isRecord(inner) ? sorted(inner) : inner));
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const sorted = (record: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.keys(record)
      .sort()
      .map((key) => [key, record[key]]),
  );
