import type { Multipart, MultipartFile } from '@fastify/multipart';
import { Spool, type SpoolOptions } from '@yuxi/storage';
import type { FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import { requireBoundary } from './boundary.js';

export interface UploadOptions extends Omit<SpoolOptions, 'limit'> {
  /** Largest file, bytes. Default 50 MiB. */
  maxBytes?: number;
}

/** To be disposed of, with its content. */
export interface Upload extends AsyncDisposable {
  /** Base name as the client sent it: not to be trusted as a path. */
  filename: string;
  content: Spool;
}

/** Room for boundaries, part headers and text fields around the file. */
const OVERHEAD = 64 * 1024;

/**
 * Takes the one file of a multipart request; the whole form has come when it resolves.
 * @throws {ApiError} 400 no file, no file name, two files, malformed form or boundary; 413 too large; 415 not a multipart request.
 * @throws {SpoolSpaceError} 503 too much is being received
 */
export async function readUpload(
  request: FastifyRequest,
  { maxBytes = 50 * 1024 * 1024, ...spooling }: UploadOptions = {},
): Promise<Upload> {
  if (!request.isMultipart()) throw new ApiError('UNSUPPORTED_TYPE', 'Send the file as multipart/form-data');
  requireBoundary(request.headers['content-type'] ?? '');
  if (Number(request.headers['content-length'] ?? 0) > maxBytes + OVERHEAD) throw tooLarge(maxBytes);
  let upload: Upload | undefined;
  try {
    for await (const part of request.parts({ limits: { fileSize: maxBytes } })) {
      if (part.type !== 'file') {
        requireText(part);
        continue;
      }
      if (upload) throw new ApiError('INVALID_INPUT', 'More than one file in the request');
      upload = await receive(part, maxBytes, spooling);
    }
  } catch (error) {
    await upload?.[Symbol.asyncDispose]();
    throw refusal(error);
  }
  if (!upload) throw new ApiError('INVALID_INPUT', 'The request has no file');
  return upload;
}

async function receive(part: MultipartFile, maxBytes: number, spooling: SpoolOptions): Promise<Upload> {
  const { filename, file } = part;
  if (!filename) throw new ApiError('INVALID_INPUT', 'The file has no name');
  async function* stream() {
    yield* file as AsyncIterable<Buffer>;
    if (file.truncated) throw tooLarge(maxBytes);
  }
  const content = await Spool.from(stream(), spooling);
  return { filename, content, [Symbol.asyncDispose]: () => content[Symbol.asyncDispose]() };
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
