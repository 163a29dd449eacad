import { endianness } from 'node:os';
import { fromHalves, toHalves } from './float16.js';

export const VECTOR_TYPES = ['float32', 'float16', 'int8'] as const;
/** Format of vectors in Redis. `float16` is more exact than the vectors of any provider. `int8` has one scale for each vector. */
export type VectorType = (typeof VECTOR_TYPES)[number];

export interface CachedVector {
  vector: Float32Array;
  /** Tokens of this text, estimated from the count of the provider for the whole batch. */
  tokens: number;
}

const VERSION = 1;
/** Version and type, one byte each; dimensions, two; tokens, four; all little-endian. */
const HEADER = 8;
const WIDTHS = { float32: 4, float16: 2, int8: 1 } as const;
/** Scale of an int8 vector. */
const SCALE = 4;
const BIG_ENDIAN = endianness() === 'BE';

export function encode({ vector, tokens }: CachedVector, type: VectorType): Buffer {
  const extra = type === 'int8' ? SCALE : 0;
  const buffer = Buffer.allocUnsafe(HEADER + extra + vector.length * WIDTHS[type]);
  buffer[0] = VERSION;
  buffer[1] = VECTOR_TYPES.indexOf(type);
  buffer.writeUInt16LE(vector.length, 2);
  buffer.writeUInt32LE(Math.min(tokens, 0xffffffff), 4);
  if (type === 'int8') quantize(vector, buffer);
  else if (type === 'float16') put(buffer, toHalves(vector));
  else put(buffer, vector);
  return buffer;
}

/** @returns `undefined` for bytes that are not from {@link encode} with this type and length; the vector counts as missing */
export function decode(buffer: Buffer, type: VectorType, dimensions: number): CachedVector | undefined {
  const extra = type === 'int8' ? SCALE : 0;
  const fits =
    buffer.length === HEADER + extra + dimensions * WIDTHS[type] &&
    buffer[0] === VERSION &&
    buffer[1] === VECTOR_TYPES.indexOf(type) &&
    buffer.readUInt16LE(2) === dimensions;
  if (!fits) return undefined;
  const tokens = buffer.readUInt32LE(4);
  if (type === 'int8') return { vector: dequantize(buffer, dimensions), tokens };
  // A copy, because bytes from the socket are not aligned and would keep the whole answer in memory.
  const bytes = type === 'float16' ? scratchOf(dimensions * 2) : new Uint8Array(dimensions * 4);
  bytes.set(buffer.subarray(HEADER));
  swapIfNeeded(bytes, WIDTHS[type]);
  if (type === 'float32') return { vector: new Float32Array(bytes.buffer), tokens };
  return { vector: fromHalves(new Uint16Array(bytes.buffer, 0, dimensions)), tokens };
}

let scratch = new Uint8Array(4096);

/** Memory that is reused for each vector. Its content is valid until the next call. */
function scratchOf(length: number): Uint8Array {
  if (length > scratch.length) scratch = new Uint8Array(length);
  return scratch.subarray(0, length);
}

function put(buffer: Buffer, numbers: Uint16Array | Float32Array): void {
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  buffer.set(bytes, HEADER);
  swapIfNeeded(buffer.subarray(HEADER), numbers.BYTES_PER_ELEMENT);
}

function swapIfNeeded(bytes: Uint8Array, width: number): void {
  if (!BIG_ENDIAN) return;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 2) view.swap16();
  else view.swap32();
}

function quantize(vector: Float32Array, buffer: Buffer): void {
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  const scale = largest / 127 || 1;
  buffer.writeFloatLE(scale, HEADER);
  for (let i = 0; i < vector.length; i++) buffer.writeInt8(Math.round(vector[i]! / scale), HEADER + SCALE + i);
}

function dequantize(buffer: Buffer, dimensions: number): Float32Array {
  const scale = buffer.readFloatLE(HEADER);
  const vector = new Float32Array(dimensions);
  for (let i = 0; i < dimensions; i++) vector[i] = buffer.readInt8(HEADER + SCALE + i) * scale;
  return vector;
}
