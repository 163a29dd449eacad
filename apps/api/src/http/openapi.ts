import type { INestApplication } from '@nestjs/common';
import { ApiBody, ApiResponse, DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { z, type ZodType } from 'zod';

type SchemaObject = NonNullable<Extract<Parameters<typeof ApiBody>[0], { schema: unknown }>['schema']>;

export interface OpenApiOptions {
  /** Serve the Swagger page at `/docs`. Off in production. */
  swaggerPage: boolean;
  /** Version in the document. Default `0.1.0`. */
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
    detail: { type: 'string', description: 'Describes the error, for people' },
    code: { type: 'string', description: 'Names the error, for programs' },
    request_id: { type: 'string', description: 'The same as in the header X-Request-Id and in the log' },
    errors: {
      type: 'array',
      items: { type: 'object', properties: { path: { type: 'string' }, message: { type: 'string' } } },
    },
    details: {},
  },
};

/** Describes the request body in the OpenAPI document, by the zod schema that validates it. */
export function ApiBodySchema(schema: ZodType): MethodDecorator {
  return ApiBody({ schema: toJson(schema, 'input') });
}

/** Describes a successful response in the OpenAPI document, by a zod schema. The response is not validated. */
export function ApiResponseSchema(status: number, description: string, schema?: ZodType): MethodDecorator {
  return ApiResponse({ status, description, ...(schema && { schema: toJson(schema, 'output') }) });
}

function toJson(schema: ZodType, io: 'input' | 'output'): SchemaObject {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { target: 'openapi-3.0', io });
  return json as SchemaObject;
}

/** Serves the OpenAPI document at {@link OPENAPI_PATH}, built at the first request. Call before `app.init()`. */
export function setupOpenApi(app: INestApplication, { swaggerPage, version }: OpenApiOptions): void {
  let document: OpenAPIObject | undefined;
  SwaggerModule.setup('docs', app, () => (document ??= buildOpenApi(app, version)), {
    ui: swaggerPage,
    raw: ['json'],
    jsonDocumentUrl: OPENAPI_PATH,
  });
}

/**
 * The document of all controllers. Every operation lists its error responses. The probes are recognized by their path,
 * because their library does not describe them.
 */
function buildOpenApi(app: INestApplication, version = '0.1.0'): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Yuxi knowledge base')
    .setDescription('Knowledge bases, documents and search. Errors have the form `{"detail","code","request_id"}`.')
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
      if (probe) operation.summary ??= 'Health probe for an orchestrator';
      const open = probe || Reflect.get(operation, PUBLIC_EXTENSION) === true;
      if (open) operation.security = [];
      const errors = [
        problem('400', 'A field is missing or unknown, or breaks a rule'),
        ...(open
          ? []
          : [
              problem('401', 'The token is missing or not valid'),
              problem('403', 'The role of the user does not allow it'),
            ]),
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
