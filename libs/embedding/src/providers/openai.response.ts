import { EmbeddingAnswerError } from '@yuxi/cache';
import { YuxiError } from '@yuxi/core';
import { z } from 'zod';
import { EmbeddingProviderError } from '../embedding.errors.js';

/** A list of numbers, or their bytes in base64 (float32, little endian). */
const embedding = z.union([z.custom<number[]>(isNumbers), z.base64()]);
const answerSchema = z.object({
  data: z.array(z.object({ index: z.int().min(0).optional(), embedding })),
  usage: z.object({ prompt_tokens: z.number().optional(), total_tokens: z.number().optional() }).optional(),
});

/**
 * Reads the vectors of an answer and sorts them in the order of the texts.
 * @throws {EmbeddingAnswerError} not exactly one vector for each text
 */
export function readAnswer(model: string, body: unknown, count: number): { vectors: Float32Array[]; tokens?: number } {
  const { success, data: answer } = answerSchema.safeParse(body);
  if (!success) throw new EmbeddingAnswerError(model, 'an answer without a list of vectors');
  const vectors: Float32Array[] = [];
  for (const [i, { index = i, embedding: numbers }] of answer.data.entries()) vectors[index] = toFloats(numbers);
  // `values`, because it includes holes.
  const present = [...vectors.values()].filter(Boolean).length;
  if (present !== count || vectors.length !== count)
    throw new EmbeddingAnswerError(model, `${present} vectors for ${count} texts`);
  return { vectors, tokens: answer.usage?.total_tokens ?? answer.usage?.prompt_tokens };
}

/** Statuses after which the same request may succeed. */
const RETRYABLE = new Set([408, 409, 425, 429, 500, 502, 503, 504, 507, 529]);
const LONGEST_REASON = 300;

/** The error for a status other than 200, with the reason in the body. The key is removed from it, because some providers repeat the key. */
export function refusalOf(
  model: string,
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: string,
  key: string | undefined,
): EmbeddingProviderError {
  const text = key ? reasonIn(body).replaceAll(key, '***') : reasonIn(body);
  const reason = text.slice(0, LONGEST_REASON);
  return new EmbeddingProviderError(model, `the provider answered ${status}${reason && `: ${reason}`}`, {
    retryable: RETRYABLE.has(status),
    retryAfter: retryAfterOf(headers['retry-after']),
  });
}

/** Converts an error of the connection. Errors of this library stay as they are. */
export function failureOf(model: string, error: unknown): YuxiError {
  const cause = error instanceof Error ? error.cause : undefined;
  if (error instanceof YuxiError) return error;
  if (cause instanceof YuxiError) return cause;
  const { name, message, code } = error as Error & { code?: string };
  const reason = name === 'TimeoutError' ? 'no answer in time' : `cannot be reached (${code ?? message})`;
  return new EmbeddingProviderError(model, reason, { cause: error });
}

/** Seconds or a date (RFC 9110), as milliseconds from now. */
function retryAfterOf(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (!text) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

function reasonIn(body: string): string {
  try {
    const { error, message, detail } = JSON.parse(body) as Record<string, unknown>;
    const inner = typeof error === 'object' && error !== null ? (error as { message?: unknown }).message : error;
    const reason = [inner, message, detail].find((each) => typeof each === 'string');
    return typeof reason === 'string' ? reason : '';
  } catch {
    return body.replace(/\s+/g, ' ').trim();
  }
}

/** Checked by hand: a schema for each of 100,000 numbers would take longer than the answer of the provider. */
function isNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.every(Number.isFinite);
}

function toFloats(numbers: string | number[]): Float32Array {
  if (typeof numbers !== 'string') return Float32Array.from(numbers);
  const bytes = Buffer.from(numbers, 'base64');
  return Float32Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readFloatLE(i * 4));
}
