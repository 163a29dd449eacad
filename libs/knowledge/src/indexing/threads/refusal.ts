import { YuxiError } from '@yuxi/core';
import { ParseError, UnsupportedTypeError } from '../../text/index.js';
import { DocumentTooLargeError } from '../indexing.errors.js';

/** An error as a message of a thread. A thrown error would arrive without its class and its code. */
export interface Refusal {
  refused: { code: string; message: string };
}

const CLASSES = {
  UNSUPPORTED_TYPE: UnsupportedTypeError,
  PARSE_FAILED: ParseError,
  DOCUMENT_TOO_LARGE: DocumentTooLargeError,
};

/** @throws `error` itself when it is a defect of the program */
export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof YuxiError) || !(error.code in CLASSES)) throw error;
  const { code, message } = error;
  return { refused: { code, message } };
}

/** @throws the error of a refusal */
export function accepted<T>(answer: T | Refusal): T {
  if (typeof answer !== 'object' || answer === null || !('refused' in answer)) return answer;
  const { code, message } = answer.refused;
  throw new CLASSES[code as keyof typeof CLASSES](message);
}
