/** Text that PostgreSQL can store as `text` or `jsonb`: each NUL and each lone surrogate becomes U+FFFD. */
export function storableText(text: string): string {
  return text.replaceAll(/[\0\p{Surrogate}]/gu, '\uFFFD');
}

/** {@link storableText} of at most `max` UTF-16 units. */
export function storableExcerpt(text: string, max: number): string {
  // Cut first: the cut may leave one half of a surrogate pair.
  return storableText(text.slice(0, max));
}
