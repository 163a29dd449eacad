import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';

export interface OpenApiOptions {
  /** Serve the Swagger page at `/docs`. Off in production. */
  swaggerPage: boolean;
  /** Version named in the document. Default `0.1.0`. */
  version?: string;
}

export const OPENAPI_PATH = '/api/openapi.json';
/** Marks an operation that needs no token. Set by `@Public()`. */
export const PUBLIC_EXTENSION = 'x-public';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
const PROBLEM_SCHEMA = {
  type: 'object',
  required: ['detail', 'code', 'request_id'],
  properties: {
    detail: { type: 'string', description: 'What is wrong, for people' },
    code: { type: 'string', description: 'What is wrong, for programs' },
    request_id: { type: 'string', description: 'Also in the header X-Request-Id and in the log' },
    errors: {
      type: 'array',
      items: { type: 'object', properties: { path: { type: 'string' }, message: { type: 'string' } } },
    },
    details: {},
  },
};

/** Serves the OpenAPI document at {@link OPENAPI_PATH}, built at the first request for it. Call before `app.init()`. */
export function setupOpenApi(app: INestApplication, { swaggerPage, version }: OpenApiOptions): void {
  let document: OpenAPIObject | undefined;
  SwaggerModule.setup('docs', app, () => (document ??= buildOpenApi(app, version)), {
    ui: swaggerPage,
    raw: ['json'],
    jsonDocumentUrl: OPENAPI_PATH,
  });
}

/**
 * The document of all controllers; every operation names the errors it can answer. The probes come from a library that
 * knows no OpenAPI, so they are known by their path.
 */
export function buildOpenApi(app: INestApplication, version = '0.1.0'): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Yuxi knowledge base')
    .setDescription('Knowledge bases, documents and search. Errors are answered as `{"detail","code","request_id"}`.')
    .setVersion(version)
    .addBearerAuth()
    .addSecurityRequirements('bearer')
    .build();
  const document = SwaggerModule.createDocument(app, config);
  document.components ??= {};
  document.components.schemas = { ...document.components.schemas, Problem: PROBLEM_SCHEMA };
  for (const [path, item] of Object.entries(document.paths))
    for (const method of METHODS) {
      const operation = item[method];
      if (!operation) continue;
      const probe = path.startsWith('/health/');
      if (probe) operation.summary ??= 'Probe for an orchestrator';
      const open = probe || Reflect.get(operation, PUBLIC_EXTENSION) === true;
      if (open) operation.security = [];
      const errors = [
        problem('400', 'A field is missing, unknown or breaks a rule'),
        ...(open ? [] : [problem('401', 'No valid token'), problem('403', 'The role does not allow it')]),
        problem('default', 'Any other error'),
      ];
      operation.responses = { ...Object.fromEntries(errors), ...operation.responses };
    }
  return document;
}

function problem(status: string, description: string) {
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/Problem' } } };
  return [status, { description, content }] as const;
}
