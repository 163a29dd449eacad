/**
 * Half precision, because Node 20 has no `Float16Array`. Layout of binary16: IEEE 754-2008. Tables for rounding after J. van der Zijp,
 * "Fast Half Float Conversions".
 */

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

/** Halves below this have no leading one, from {@link TOO_LARGE} on they are no numbers. */
const NORMAL = 0x0400;
const TOO_LARGE = 0x7c00;
/** What the exponent of a binary32 is ahead of that of a half, in its place. */
const AHEAD = (127 - 15) << 23;

export function fromHalves(halves: Uint16Array): Float32Array {
  const numbers = new Float32Array(halves.length);
  const bits = new Uint32Array(numbers.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    const rest = half & 0x7fff;
    if (rest >= NORMAL && rest < TOO_LARGE) bits[i] = ((half & 0x8000) << 16) | ((rest << 13) + AHEAD);
    else numbers[i] = rareHalf(half);
  }
  return numbers;
}

function rareHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const mantissa = half & 1023;
  if ((half & TOO_LARGE) === 0) return sign * mantissa * 2 ** -24;
  return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
}
