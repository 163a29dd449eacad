import { ApiError } from '../../http/index.js';

interface Version {
  revision: number;
  hash: string;
}

const DIGITS = 12;
const TAG = /^"(\d{1,15})-([0-9a-f]{12})-[0-9a-f]{12}"$/;

/**
 * ETag of the settings as this build shows them: revision, hash of what was set, and the build's schema, whose defaults show as
 * well. To change them only the first two have to match, so that replicas of two builds accept each other's tags.
 */
export function entityTag({ revision, hash }: Version, schemaVersion: string): string {
  return `"${revision}-${hash.slice(0, DIGITS)}-${schemaVersion}"`;
}

/**
 * What `If-Match` demands; `*` demands nothing.
 * @throws {ApiError} 428 without it; 412 for what is no tag of the settings.
 */
export function ifMatch(header: string | undefined, current: Version): { ifRevision?: number; ifHash?: string } {
  if (header === undefined)
    throw new ApiError(
      'PRECONDITION_REQUIRED',
      'Send If-Match with the ETag of the settings that you read, so that nobody else’s change is overwritten',
    );
  if (header.trim() === '*') return {};
  const [, revision, ifHash] = TAG.exec(header.trim()) ?? [];
  if (revision === undefined)
    throw new ApiError('CONFIG_CONFLICT', 'If-Match is not an ETag of these settings: read them again', {
      details: { revision: current.revision },
    });
  return { ifRevision: Number(revision), ifHash };
}

/** Whether `If-None-Match` names this tag: the client has it. */
export function ifNoneMatch(header: string | undefined, tag: string): boolean {
  return header?.split(',').some((each) => ['*', tag].includes(each.trim().replace(/^W\//, ''))) ?? false;
}
