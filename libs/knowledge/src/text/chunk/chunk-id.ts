import { createHash } from 'node:crypto';

/**
 * Identity of a chunk: SHA-256 (hex) of the file, the text and how many equal texts stand before it in the file.
 * It does not depend on the position, so that an edit elsewhere in the file leaves the identity as it was.
 */
export function chunkId(fileId: string, text: string, ordinalOfEqualText: number): string {
  return createHash('sha256')
    .update(JSON.stringify([fileId, text, ordinalOfEqualText]))
    .digest('hex');
}
