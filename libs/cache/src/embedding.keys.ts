import { hash } from 'node:crypto';
import type { EmbeddingModel } from './embedding.types.js';
import type { VectorType } from './vector/codec.js';

/** Of the layout of keys and values: another one never reads what this one wrote. */
const LAYOUT = 1;

const digest = (text: string) => hash('sha256', text, 'base64url');

/** What all keys of a model begin with. */
export function modelPrefix(
  { endpoint, model, revision = '', dimensions, prefix = '' }: EmbeddingModel,
  type: VectorType,
): string {
  const identity = JSON.stringify([endpoint, model, revision, dimensions, prefix]);
  return `yuxi:emb:${LAYOUT}:${digest(identity)}:${type}:`;
}

/** Texts that look the same have one key, however they were composed. */
export function textKey(prefix: string, text: string): string {
  return prefix + digest(text.normalize('NFC'));
}
