import type { Multipart, MultipartFile } from '@fastify/multipart';
import { Injectable } from '@nestjs/common';
import { Spool, SpoolSpace, type SpoolOptions } from '@yuxi/storage';
import type { FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';

export interface UploadOptions extends Omit<SpoolOptions, 'limit'> {
  /** Size limit of the file, bytes. Default 50 MiB. */
  maxBytes?: number;
}

/** A received file. Dispose of it to remove its content. */
export interface Upload extends AsyncDisposable {
  /** Base name as the client sent it. Not safe as a path. */
  filename: string;
  content: Spool;
}

/** Allowance for boundaries, part headers and text fields, bytes. */
const OVERHEAD = 64 * 1024;
/** One parameter of a Content-Type: RFC 9110, section 5.6.6. */
const PARAMETER = /\s*;\s*([!#$%&'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[^\s;"]*)/y;
/** RFC 2046, section 5.1.1: 1 to 70 of these characters, not a space at the end. */
const BOUNDARY = /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/;

/** Limits the space of the uploads that this process receives at the same time. Beyond it uploads are answered with 503. */
@Injectable()
export class UploadSpace {
  readonly #space = new SpoolSpace();

  /** Options of {@link readUpload} for an upload of this user. */
  of(user: { id: number }): UploadOptions {
    return { space: this.#space, owner: `${user.id}` };
  }
}

/**
 * Receives the only file of a multipart request. Resolves when the whole form has arrived.
 * @throws {ApiError} 400 no file, no file name, two files, malformed form or boundary; 413 too large; 415 not multipart
 * @throws {SpoolSpaceError} 503 while the files being received take too much space
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
      if (upload) throw new ApiError('INVALID_INPUT', 'The request has more than one file: send one file per request');
      upload = await receive(part, maxBytes, spooling);
    }
  } catch (error) {
    await upload?.[Symbol.asyncDispose]();
    throw toApiError(error);
  }
  if (!upload) throw new ApiError('INVALID_INPUT', 'The request has no file: send it as a part with a file name');
  return upload;
}

async function receive(part: MultipartFile, maxBytes: number, spooling: SpoolOptions): Promise<Upload> {
  const { filename, file } = part;
  if (!filename) throw new ApiError('INVALID_INPUT', 'The part of the file has no file name');
  async function* stream() {
    yield* file as AsyncIterable<Buffer>;
    if (file.truncated) throw tooLarge(maxBytes);
  }
  const content = await Spool.from(stream(), spooling);
  return { filename, content, [Symbol.asyncDispose]: () => content[Symbol.asyncDispose]() };
}

function requireText(part: Extract<Multipart, { type: 'field' }>): void {
  if (part.fieldnameTruncated || part.valueTruncated)
    throw new ApiError('PAYLOAD_TOO_LARGE', 'A field of the form is too long');
  if (part.fieldname === 'file') throw new ApiError('INVALID_INPUT', 'The part "file" has no file name');
}

function tooLarge(maxBytes: number): ApiError {
  return new ApiError('PAYLOAD_TOO_LARGE', `The file must have at most ${maxBytes} bytes`);
}

function toApiError(error: unknown): unknown {
  if (error instanceof ApiError || !(error instanceof Error)) return error;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && code.startsWith('FST_')) {
    return new ApiError('INVALID_INPUT', /LIMIT/.test(code) ? 'The form has too many parts' : error.message, {
      cause: error,
    });
  }
  return /multipart|part terminated|boundary|malformed|content-disposition/i.test(error.message)
    ? new ApiError('INVALID_INPUT', 'The multipart form is malformed', { cause: error })
    : error;
}

/**
 * Checks the boundary of a multipart request before the multipart parser uses it, because the parser accepts any text.
 * @throws {ApiError} 400 for a boundary that is missing, repeated, or not valid by RFC 2046
 */
export function requireBoundary(contentType: string): void {
  const given = parametersOf(contentType).flatMap(([name, value]) => (name === 'boundary' ? [value] : []));
  if (given.length !== 1) throw badContentType(`must have one boundary, not ${given.length}`);
  if (!BOUNDARY.test(given[0]!))
    throw badContentType("must have a boundary of 1 to 70 letters, digits or '()+_,-./:=? ");
}

function parametersOf(contentType: string): [name: string, value: string][] {
  const parameters: [string, string][] = [];
  const end = contentType.replace(/[\s;]+$/, '').length;
  PARAMETER.lastIndex = /^[^;]*/.exec(contentType)![0].trimEnd().length;
  while (PARAMETER.lastIndex < end) {
    const match = PARAMETER.exec(contentType);
    if (!match) throw badContentType('is malformed');
    const [, name, value] = match as unknown as [string, string, string];
    parameters.push([
      name.toLowerCase(),
      value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, '$1') : value,
    ]);
  }
  return parameters;
}

function badContentType(rule: string): ApiError {
  return new ApiError('INVALID_INPUT', `The Content-Type of the form ${rule}`);
}
