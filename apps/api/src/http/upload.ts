import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import { requireBoundary } from './boundary.js';
import { spool } from './spool.js';

export interface UploadOptions {
  /** Largest file, bytes. Default 50 MiB. */
  maxBytes?: number;
}

export interface IncomingFile {
  /** Base name as the client sent it: not to be trusted as a path. */
  filename: string;
  /** Type as the client sent it: not to be trusted. */
  mimetype: string;
  /** Fails with 413 at its end when the file was larger than allowed, so that nobody takes a part for the whole. */
  stream: AsyncIterable<Buffer>;
}

export interface Upload<T> {
  filename: string;
  mimetype: string;
  /** Bytes received. */
  size: number;
  /** What the consumer made of the content. */
  content: T;
}

/** Room for boundaries, part headers and text fields around the file. */
const OVERHEAD = 64 * 1024;

/**
 * Reads the one file of a multipart request. The content goes to `consume` while it arrives; by default it
 * becomes one buffer once all of it is there (see `spool`). A second file is noticed only after the first was consumed, so what `consume` does must be
 * safe to forget.
 * @throws {ApiError} 400 no file, no file name, two files, malformed form or boundary; 413 too large; 415 not a multipart request.
 */
export async function readUpload(request: FastifyRequest, options?: UploadOptions): Promise<Upload<Buffer>>;
export async function readUpload<T>(
  request: FastifyRequest,
  options: UploadOptions,
  consume: (file: IncomingFile) => Promise<T>,
): Promise<Upload<T>>;
export async function readUpload(
  request: FastifyRequest,
  { maxBytes = 50 * 1024 * 1024 }: UploadOptions = {},
  consume: (file: IncomingFile) => Promise<unknown> = ({ stream }) => spool(stream),
): Promise<Upload<unknown>> {
  if (!request.isMultipart()) throw new ApiError('UNSUPPORTED_TYPE', 'Send the file as multipart/form-data');
  requireBoundary(request.headers['content-type'] ?? '');
  if (Number(request.headers['content-length'] ?? 0) > maxBytes + OVERHEAD) throw tooLarge(maxBytes);
  let upload: Upload<unknown> | undefined;
  try {
    for await (const part of request.parts({ limits: { fileSize: maxBytes } })) {
      if (part.type !== 'file') {
        requireText(part);
        continue;
      }
      if (upload) throw new ApiError('INVALID_INPUT', 'More than one file in the request');
      upload = await receive(part, maxBytes, consume);
    }
  } catch (error) {
    throw refusal(error);
  }
  if (!upload) throw new ApiError('INVALID_INPUT', 'The request has no file');
  return upload;
}

async function receive(part: MultipartFile, maxBytes: number, consume: (file: IncomingFile) => Promise<unknown>) {
  const { filename, mimetype, file } = part;
  if (!filename) throw new ApiError('INVALID_INPUT', 'The file has no name');
  let size = 0;
  async function* stream() {
    for await (const chunk of file) {
      size += (chunk as Buffer).length;
      yield chunk as Buffer;
    }
    if (file.truncated) throw tooLarge(maxBytes);
  }
  const content = await consume({ filename, mimetype, stream: stream() });
  if (!file.readableEnded) throw new ApiError('INVALID_INPUT', 'The file was not read to its end');
  return { filename, mimetype, size, content };
}

function requireText(part: Extract<Multipart, { type: 'field' }>): void {
  if (part.fieldnameTruncated || part.valueTruncated) throw new ApiError('PAYLOAD_TOO_LARGE', 'A field is too long');
  if (part.fieldname === 'file') throw new ApiError('INVALID_INPUT', 'The part "file" has no file name');
}

function tooLarge(maxBytes: number): ApiError {
  return new ApiError('PAYLOAD_TOO_LARGE', `The file is larger than ${maxBytes} bytes`);
}

function refusal(error: unknown): unknown {
  if (error instanceof ApiError || !(error instanceof Error)) return error;
  const fromParser = (error as { code?: unknown }).code;
  if (typeof fromParser === 'string' && fromParser.startsWith('FST_')) {
    const limit = /LIMIT/.test(fromParser);
    return new ApiError('INVALID_INPUT', limit ? 'Too many parts in the form' : error.message, { cause: error });
  }
  return /multipart|part terminated|boundary|malformed|content-disposition/i.test(error.message)
    ? new ApiError('INVALID_INPUT', 'The multipart form is malformed', { cause: error })
    : error;
}
