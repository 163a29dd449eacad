const SPECIAL = /["\\]/g;

/** An array as PostgreSQL reads it from text. Numbers stand bare, texts in quotes. */
export function arrayLiteral(values: readonly (string | number)[]): string {
  const elements = values.map((value) =>
    typeof value === 'number' ? value : `"${value.replace(SPECIAL, (character) => `\\${character}`)}"`,
  );
  return `{${elements.join(',')}}`;
}
