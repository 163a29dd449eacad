import { EmbeddingAnswerError } from '@yuxi/cache';
import { z } from 'zod';

/** Numbers, or their bytes (float32, little endian) in base64. */
const embedding = z.union([z.custom<number[]>(isNumbers), z.base64()]);
const answerSchema = z.object({
  data: z.array(z.object({ index: z.int().min(0).optional(), embedding })),
  usage: z.object({ prompt_tokens: z.number().optional(), total_tokens: z.number().optional() }).optional(),
});

/**
 * Vectors of an answer, in the order of the texts, whatever the order of the answer.
 * @throws {EmbeddingAnswerError} unless there is one for each text
 */
export function readAnswer(model: string, body: unknown, count: number): { vectors: Float32Array[]; tokens?: number } {
  const { success, data: answer } = answerSchema.safeParse(body);
  if (!success) throw new EmbeddingAnswerError(model, 'an answer without a list of vectors');
  const vectors: Float32Array[] = [];
  for (const [i, { index = i, embedding: numbers }] of answer.data.entries()) vectors[index] = toFloats(numbers);
  // `values`, because holes count too.
  const there = [...vectors.values()].filter(Boolean).length;
  if (there !== count || vectors.length !== count)
    throw new EmbeddingAnswerError(model, `${there} vectors for ${count} texts`);
  return { vectors, tokens: answer.usage?.total_tokens ?? answer.usage?.prompt_tokens };
}

/** A schema for each of 100,000 numbers would take longer than the answer did. */
function isNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.every(Number.isFinite);
}

function toFloats(numbers: string | number[]): Float32Array {
  if (typeof numbers !== 'string') return Float32Array.from(numbers);
  const bytes = Buffer.from(numbers, 'base64');
  return Float32Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readFloatLE(i * 4));
}
