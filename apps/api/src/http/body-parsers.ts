import type { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import { flagsOf } from './route-flags.js';
import { parseStrictJson, type JsonLimits } from './strict-json.js';

const FORM = 'application/x-www-form-urlencoded';
const MAX_FORM_FIELDS = 20;
/** Limits of routes that need no token. None of them has more than a few fields. Bytes. */
const OPEN_BODY_LIMIT = 16 * 1024;
const OPEN_JSON: JsonLimits = { maxDepth: 4, maxValues: 32 };

/** Accepts JSON on all routes, forms on the routes named, and multipart by its plugin. Other types, or none, are 415. */
export function registerBodyParsers(adapter: FastifyAdapter, formRoutes: readonly string[]): void {
  const server = adapter.getInstance<FastifyInstance>();
  server.addHook('onRoute', (route) => {
    if (route.config && flagsOf({ routeOptions: { config: route.config } }).open) route.bodyLimit = OPEN_BODY_LIMIT;
  });
  server.removeContentTypeParser('text/plain');
  adapter.useBodyParser('application/json', false, undefined, (request, body, done) => {
    refuseEncodings(request);
    done(null, parseStrictJson(body, flagsOf(request).open ? OPEN_JSON : undefined));
  });
  adapter.useBodyParser(FORM, false, undefined, (request, body, done) => {
    refuseEncodings(request);
    if (!formRoutes.includes(request.routeOptions.url ?? ''))
      throw new ApiError('UNSUPPORTED_TYPE', 'Send the body as application/json');
    done(null, parseForm(body));
  });
}

function refuseEncodings({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new ApiError('UNSUPPORTED_TYPE', 'Compressed request bodies are not accepted: send the body uncompressed');
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    throw new ApiError('UNSUPPORTED_TYPE', 'Send the body as UTF-8');
}

/**
 * Reads an urlencoded form as flat text fields.
 * @throws {ApiError} 400 for a malformed escape, invalid UTF-8, NUL, or a repeated or forbidden field
 */
function parseForm(body: Buffer): Record<string, string> {
  const pairs = body.toString('latin1').split('&').filter(Boolean);
  if (pairs.length === 0) throw new ApiError('INVALID_INPUT', 'The form is empty');
  if (pairs.length > MAX_FORM_FIELDS)
    throw new ApiError('INVALID_INPUT', `The form must have at most ${MAX_FORM_FIELDS} fields`);
  const fields = new Map<string, string>();
  for (const pair of pairs) {
    const cut = pair.includes('=') ? pair.indexOf('=') : pair.length;
    const name = decode(pair.slice(0, cut));
    if (name === '__proto__' || name === 'constructor')
      throw new ApiError('INVALID_INPUT', 'The form has a field name that is not allowed');
    if (fields.has(name))
      throw new ApiError('INVALID_INPUT', 'The form has a field twice', {
        errors: [{ path: name, message: 'repeated' }],
      });
    fields.set(name, decode(pair.slice(cut + 1)));
  }
  return Object.fromEntries(fields);
}

function decode(text: string): string {
  // Unescaped bytes outside ASCII are escaped first, so that they pass the same check of UTF-8.
  const escaped = text.replaceAll('+', ' ').replace(/[\x80-\xff]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
  let value: string;
  try {
    value = decodeURIComponent(escaped);
  } catch (cause) {
    throw new ApiError('INVALID_INPUT', 'The form has a malformed escape or is not UTF-8', { cause });
  }
  if (value.includes('\0')) throw new ApiError('INVALID_INPUT', 'The form has a NUL character');
  return value;
}
