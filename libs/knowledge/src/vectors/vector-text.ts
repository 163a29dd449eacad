/** Six digits: what 16 bits hold, and two more. */
const PRECISION = 1e6;

/** A vector as SQL reads it, brought to length 1; what has no direction stays zero. */
export function vectorText(vector: Float32Array): string {
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  const scale = norm > 0 ? PRECISION / norm : 0;
  const numbers = Array.from(vector, (value) => Math.round(value * scale) / PRECISION);
  return `[${numbers.join(',')}]`;
}
