/**
 * Half precision, because Node 20 has no `Float16Array`. Layout of binary16: IEEE 754-2008. Tables for rounding after J. van der Zijp,
 * "Fast Half Float Conversions".
 */

/** A shift after which no bit of the mantissa remains, and no bit to round by. */
const WHOLE_MANTISSA = 31;

/** By sign and exponent of a binary32: the first bits of the half, and the shift of its mantissa. */
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
  if (exponent < -25) return [0, WHOLE_MANTISSA];
  if (exponent < -14) return [0x0400 >> (-exponent - 14), -exponent - 1];
  if (exponent <= 15) return [(exponent + 15) << 10, 13];
  return [0x7c00, exponent === 128 ? 13 : WHOLE_MANTISSA];
}

/** Rounds half to even. Numbers that are too large become infinite. */
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

/** Halves below this are subnormal. From {@link TOO_LARGE} on they are infinite or not a number. */
const NORMAL = 0x0400;
const TOO_LARGE = 0x7c00;
/** Difference of the exponent biases of binary32 and half, shifted to the exponent's position. */
const BIAS = (127 - 15) << 23;

export function fromHalves(halves: Uint16Array): Float32Array {
  const numbers = new Float32Array(halves.length);
  const bits = new Uint32Array(numbers.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    const rest = half & 0x7fff;
    if (rest >= NORMAL && rest < TOO_LARGE) bits[i] = ((half & 0x8000) << 16) | ((rest << 13) + BIAS);
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
