import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Body, Controller, Get, Module, Post, Query } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ApiExtension, ApiOperation } from '@nestjs/swagger';
import { Test } from '@nestjs/testing';
import { z } from 'zod';
import { createHttpAdapter, HttpModule, OPENAPI_PATH, pageQuery, PUBLIC_EXTENSION, setupOpenApi } from './index.js';

const body = z.strictObject({ name: z.string().max(5) });

@Controller('api/t')
class Things {
  @Get()
  @ApiExtension(PUBLIC_EXTENSION, true)
  @ApiOperation({ summary: 'Look' })
  list(@Query({ schema: pageQuery }) query: unknown) {
    return query;
  }
  @Post()
  @ApiOperation({ summary: 'Make' })
  create(@Body({ schema: body }) value: unknown) {
    return value;
  }
}

@Module({ imports: [HttpModule], controllers: [Things] })
class App {}

async function start(swaggerPage: boolean): Promise<NestFastifyApplication> {
  const module = await Test.createTestingModule({ imports: [App] }).compile();
  const app = module.createNestApplication<NestFastifyApplication>(createHttpAdapter(), { logger: false });
  setupOpenApi(app, { swaggerPage });
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}

describe('OpenAPI', () => {
  let on: NestFastifyApplication;
  let off: NestFastifyApplication;
  beforeAll(async () => {
    [on, off] = [await start(true), await start(false)];
  });
  afterAll(() => Promise.all([on.close(), off.close()]));

  it('describes the schemas, the authentication and the errors of each operation', async () => {
    const answer = await off.inject(OPENAPI_PATH);
    expect(answer.statusCode).toBe(200);
    const { paths, components } = answer.json<{ paths: Record<string, object>; components: { schemas: object } }>();
    expect(paths['/api/t']).toMatchObject({
      get: {
        summary: 'Look',
        security: [],
        parameters: expect.arrayContaining([expect.objectContaining({ name: 'page', in: 'query' })]),
        responses: { '200': {}, '400': {}, default: {} },
      },
      post: {
        requestBody: { content: { 'application/json': { schema: { additionalProperties: false } } } },
        responses: { '201': {}, '401': {}, '403': {} },
      },
    });
    expect(components.schemas).toHaveProperty('Problem');
  });

  it('serves the Swagger page only when it is enabled', async () => {
    for (const url of ['/docs', '/docs/', '/docs-json', '/api-json', '/docs/swagger-ui.css'])
      expect((await off.inject(url)).statusCode).toBe(404);
    const page = await on.inject('/docs');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-security-policy']).toContain("script-src 'self'");
    expect((await on.inject('/docs/swagger-ui-bundle.js')).statusCode).toBe(200);
  });
});
