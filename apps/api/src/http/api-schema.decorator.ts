import { ApiBody, ApiResponse } from '@nestjs/swagger';
import { z, type ZodType } from 'zod';

type SchemaObject = NonNullable<Extract<Parameters<typeof ApiBody>[0], { schema: unknown }>['schema']>;

/** Describes the request body in the OpenAPI document by the zod schema that validates it. */
export function ApiBodySchema(schema: ZodType): MethodDecorator {
  return ApiBody({ schema: toJson(schema, 'input') });
}

/** Describes a successful answer in the OpenAPI document by a zod schema. The answer itself is not validated. */
export function ApiAnswer(status: number, description: string, schema?: ZodType): MethodDecorator {
  return ApiResponse({ status, description, ...(schema && { schema: toJson(schema, 'output') }) });
}

function toJson(schema: ZodType, io: 'input' | 'output'): SchemaObject {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { target: 'openapi-3.0', io });
  return json as SchemaObject;
}
