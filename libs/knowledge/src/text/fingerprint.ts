import { createHash } from 'node:crypto';

export interface FingerprintInput {
  /** Hash of the bytes of the file. */
  contentHash: string;
  /** Chunk parameters as plain JSON, in any order of keys. */
  params: Readonly<Record<string, unknown>>;
  /** See `ANALYZER_VERSION`. */
  analyzerVersion: string;
}

/** SHA-256 (hex) of everything that determines the index of a file. An equal fingerprint means an equal index. */
export function fingerprint({ contentHash, params, analyzerVersion }: FingerprintInput): string {
  return createHash('sha256').update(canonicalJson({ contentHash, params, analyzerVersion })).digest('hex');
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
