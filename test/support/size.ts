/** `npm test` runs the small sizes, `npm run prove` the full sizes. */
export const FULL = process.env['YUXI_SIZE'] === 'full';

export function size<T>(small: T, full: T): T {
  return FULL ? full : small;
}
