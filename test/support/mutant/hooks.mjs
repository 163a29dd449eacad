// Module hooks of Node: replace the text of the compiled file.
import { fileURLToPath } from 'node:url';
import { mutate } from './mutant.mjs';

export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (!url.startsWith('file:') || loaded.source == null) return loaded;
  return { ...loaded, source: mutate(fileURLToPath(url), String(loaded.source)) };
}
