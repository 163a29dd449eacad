/** Text that the database accepts, at most `max` characters. */
export function storable(text: string, max = 2000): string {
  // Cut first, because the cut may leave half of a surrogate pair.
  return text
    .slice(0, max)
    .replaceAll('\u0000', '')
    .replaceAll(/\p{Surrogate}/gu, '\uFFFD');
}

/** What users are told about a failed run. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return storable(String(error));
  return storable(error.name === 'Error' ? error.message || 'Error' : `${error.name}: ${error.message}`);
}
