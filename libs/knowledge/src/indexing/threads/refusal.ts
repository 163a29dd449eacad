import { YuxiError } from '@yuxi/core';
import { ParseError, UnsupportedTypeError } from '../../text/index.js';
import { DocumentTooLargeError } from '../indexing.errors.js';

/** An error as a thread tells it: one that it throws would arrive without its class and its code. */
export interface Refusal {
  refused: { code: string; message: string };
}

const CLASSES = {
  UNSUPPORTED_TYPE: UnsupportedTypeError,
  PARSE_FAILED: ParseError,
  DOCUMENT_TOO_LARGE: DocumentTooLargeError,
};

/** @throws `error` itself where it is a fault of the program */
export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof YuxiError) || !(error.code in CLASSES)) throw error;
  const { code, message } = error;
  return { refused: { code, message } };
}

/** @throws the error that a refusal tells of */
export function accepted<T>(answer: T | Refusal): T {
  if (typeof answer !== 'object' || answer === null || !('refused' in answer)) return answer;
  const { code, message } = answer.refused;
  throw new CLASSES[code as keyof typeof CLASSES](message);
}
