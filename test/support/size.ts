/** `npm test` runs small sizes, `npm run prove` the full ones. */
export const FULL = process.env['YUXI_SIZE'] === 'full';

export function size<T>(small: T, full: T): T {
  return FULL ? full : small;
}
