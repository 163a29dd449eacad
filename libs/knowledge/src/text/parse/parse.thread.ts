import { YuxiError } from '@yuxi/core';
import type { FileType } from './detect.js';
import { parse, type ParsedDocument } from './parse.js';

export interface ParseOrder {
  type: FileType;
  content: Uint8Array;
}

/** An error that is told keeps its code, which one that is thrown loses between threads. */
export type ParseAnswer = ParsedDocument | { refused: { code: string; message: string } };

export default async function parseInThread({ type, content }: ParseOrder): Promise<ParseAnswer> {
  try {
    return await parse(type, content);
  } catch (error) {
    if (!(error instanceof YuxiError)) throw error;
    const { code, message } = error;
    return { refused: { code, message } };
  }
}
