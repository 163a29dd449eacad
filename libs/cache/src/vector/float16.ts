/**
 * Half precision by tables, because Node 20 has no `Float16Array`: one look-up for a number instead of arithmetic on its bits.
 * Layout of binary16: IEEE 754-2008. Tables for rounding after J. van der Zijp, "Fast Half Float Conversions".
 */
const halfToFloat = new Float32Array(65_536);
for (let half = 0; half < 65_536; half++) {
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) halfToFloat[half] = mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  else if (exponent === 0) halfToFloat[half] = sign * mantissa * 2 ** -24;
  else halfToFloat[half] = sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** A shift that leaves nothing of the mantissa, and nothing to round. */
const NOTHING = 31;

/** By sign and exponent of a binary32: what a half begins with, and how far its mantissa is shifted. */
const base = new Uint16Array(512);
const shift = new Uint8Array(512);
for (let i = 0; i < 256; i++) {
  const exponent = i - 127;
  const [bits, by] = halfOf(exponent);
  base[i] = bits;
  base[i | 256] = bits | 0x8000;
  shift[i] = shift[i | 256] = by;
}

function halfOf(exponent: number): [bits: number, shift: number] {
  if (exponent < -25) return [0, NOTHING];
  if (exponent < -14) return [0x0400 >> (-exponent - 14), -exponent - 1];
  if (exponent <= 15) return [(exponent + 15) << 10, 13];
  return [0x7c00, exponent === 128 ? 13 : NOTHING];
}

/** Rounds half to even; what is too large becomes infinite. */
export function toHalves(numbers: Float32Array): Uint16Array {
  const bits = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const halves = new Uint16Array(numbers.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    const head = word >>> 23;
    const by = shift[head]!;
    const mantissa = word & 0x7fffff;
    const half = base[head]! + (mantissa >>> by);
    const rest = (mantissa | 0x800000) & ((1 << by) - 1);
    const middle = 1 << (by - 1);
    halves[i] = rest > middle || (rest === middle && half & 1) ? half + 1 : half;
  }
  return halves;
}

export function fromHalves(halves: Uint16Array): Float32Array {
  const numbers = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) numbers[i] = halfToFloat[halves[i]!]!;
  return numbers;
}
