import type { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import type { JsonLimits } from './json-scanner.js';
import { parseForm } from './form.js';
import { flagsOf } from './route-config.js';
import { parseStrictJson } from './strict-json.js';

const FORM = 'application/x-www-form-urlencoded';
/** For clients without a token: none of those routes has more than a handful of fields. Bytes. */
const OPEN_BODY_LIMIT = 16 * 1024;
const OPEN_JSON: JsonLimits = { maxDepth: 4, maxValues: 32 };

/** JSON everywhere, forms on the routes named, multipart by its plugin; every other type, or none, is 415. */
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
    throw new ApiError('UNSUPPORTED_TYPE', 'A compressed request body is not accepted');
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    throw new ApiError('UNSUPPORTED_TYPE', 'The body must be sent as UTF-8');
}
