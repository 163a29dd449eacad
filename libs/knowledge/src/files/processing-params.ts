import { z } from 'zod';

import { text } from '../common/input.js';
import { CHUNK_DEFAULTS, type ChunkOptions } from '../text/index.js';

const chunkShape = {
  /** Upper limit of a chunk, estimated tokens. */
  chunk_size: z.int().min(8).max(8192).optional(),
  /** Estimated tokens repeated from the chunk before. */
  chunk_overlap: z.int().min(0).max(4096).optional(),
  /** Text that ends a chunk, with the preset `separator`. */
  qa_separator: text(64, 1).optional(),
  chunk_preset_id: z.enum(['general', 'separator']).optional(),
  chunk_parser_config: z.strictObject({ delimiter: text(64, 1).optional() }).optional(),
};

/** How a file is divided into chunks. An absent value comes from the file, the database, the settings, or the default, in this order. */
export const chunkParamsSchema = z
  .strictObject(chunkShape)
  .refine(
    ({ chunk_size, chunk_overlap }) =>
      chunk_size === undefined || chunk_overlap === undefined || chunk_overlap * 2 <= chunk_size,
    { path: ['chunk_overlap'], message: 'must be at most half of chunk_size' },
  );
export type ChunkParams = z.infer<typeof chunkParamsSchema>;

/** Parameters of adding documents. */
export const addParamsSchema = z.strictObject({
  ...chunkShape,
  content_type: z.literal('file').optional(),
  /** Index at once after parsing. Default `false`. */
  auto_index: z.boolean().optional(),
});
export type AddParams = z.input<typeof addParamsSchema>;

/** Parameters of indexing. */
export const indexParamsSchema = z.strictObject({
  ...addParamsSchema.shape,
  /** Index even where nothing has changed. Default `false`. */
  force: z.boolean().optional(),
});
export type IndexParams = z.input<typeof indexParamsSchema>;

/** The valid chunk parameters of an object; other keys are ignored. */
export function pickChunkParams(source: Readonly<Record<string, unknown>>): ChunkParams {
  const known = Object.entries(chunkShape).flatMap(([key, schema]) => {
    const { success, data } = schema.safeParse(source[key]);
    return success && data !== undefined ? [[key, data] as const] : [];
  });
  return Object.fromEntries(known);
}

/** Merges parameters; later ones have precedence. The result is complete, because it is part of the fingerprint. */
export function effectiveChunking(...layers: readonly ChunkParams[]): Required<ChunkOptions> {
  const merged: ChunkParams = Object.assign({}, ...layers);
  const size = merged.chunk_size ?? CHUNK_DEFAULTS.size;
  return {
    size,
    // Size and overlap may come from different layers, so no schema has checked them together.
    overlap: Math.min(merged.chunk_overlap ?? CHUNK_DEFAULTS.overlap, Math.floor(size / 2)),
    separator: merged.qa_separator ?? merged.chunk_parser_config?.delimiter ?? CHUNK_DEFAULTS.separator,
    preset: merged.chunk_preset_id ?? CHUNK_DEFAULTS.preset,
  };
}
