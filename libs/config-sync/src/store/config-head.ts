import { ConfigUnavailableError } from '../config-sync.errors.js';
import { hashOf } from '../schema/json.js';
import type { JsonObject } from '../schema/json.js';

/** A revision that was committed. Two heads are the same when epoch, revision and hash are. */
export interface ConfigHead {
  readonly epoch: string;
  readonly revision: number;
  readonly hash: string;
  /** What was set; everything else has its default. */
  readonly stored: JsonObject;
}

export interface HeadRow {
  epoch: string;
  revision: number | string;
  hash: string;
  snapshot: JsonObject | null;
}

/** @throws {ConfigUnavailableError} when the snapshot is not what was committed. */
export function toHead({ epoch, revision, hash, snapshot }: HeadRow): ConfigHead {
  if (snapshot === null || hashOf(snapshot) !== hash)
    throw new ConfigUnavailableError(`snapshot of revision ${revision} does not match its hash`);
  return { epoch, revision: Number(revision), hash, stored: snapshot };
}

/** Within one epoch revisions only grow, unless the database was restored from an older copy. */
export function isBehind(head: ConfigHead, applied: ConfigHead): boolean {
  return (
    head.epoch === applied.epoch &&
    (head.revision < applied.revision || (head.revision === applied.revision && head.hash !== applied.hash))
  );
}
