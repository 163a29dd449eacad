import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { Body, Controller, Get, HttpException, Module, Param, Post, Query, Req } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { YuxiError } from '@yuxi/core';
import { requestContext } from '@yuxi/observability';
import { SpoolSpace } from '@yuxi/storage';
import { TooManyAttemptsError } from '@yuxi/throttler';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import {
  createHttpAdapter,
  HttpModule,
  idParam,
  line,
  pageQuery,
  queryDate,
  readUpload,
} from '../../../apps/api/src/http/index.js';

const MEBIBYTE = 1024 * 1024;
/** Room for one content of 2 MiB. */
const SPACE = new SpoolSpace({ total: 2 * MEBIBYTE, perOwner: 2 * MEBIBYTE });

const thing = z.strictObject({ name: line(20), count: z.int().min(1).optional(), ids: z.array(z.uuid()).optional() });
const listing = pageQuery.extend({ since: queryDate.optional() });
const FAILURES: Record<string, () => Error> = {
  plain: () => new Error('SELECT secret FROM /etc/passwd'),
  unknown: () => new YuxiError('inside', { code: 'NEVER_HEARD_OF' }),
  full: () => new YuxiError('queue default is full', { code: 'QUEUE_FULL', retryable: true }),
  redis: () => new YuxiError('redis://:secret@host', { code: 'REDIS_UNAVAILABLE', retryable: true }),
  conflict: () => Object.assign(new YuxiError('changed', { code: 'CONFIG_CONFLICT' }), { details: { revision: 4 } }),
  attempts: () => new TooManyAttemptsError(13),
  teapot: () => new HttpException('short and stout', 418),
};

@Controller('api/t')
class Things {
  @Post() create(@Body({ schema: thing }) body: z.output<typeof thing>) {
    return { body, id: requestContext.getStore()?.requestId };
  }
  @Get() list(@Query({ schema: listing }) query: z.output<typeof listing>) {
    return query;
  }
  @Get('fail/:how') fail(@Param('how') how: string) {
    throw FAILURES[how]?.() ?? new Error('unknown case');
  }
  @Get('by-id/:id') byId(@Param('id', { schema: idParam }) id: number) {
    return { id };
  }
  @Post('upload') async upload(@Req() request: FastifyRequest) {
    await using upload = await readUpload(request, { maxBytes: 1000 });
    return { filename: upload.filename, size: upload.content.size };
  }
  @Post('spooled') async spooled(@Req() request: FastifyRequest) {
    await using upload = await readUpload(request, { maxBytes: 4 * MEBIBYTE, space: SPACE });
    return { size: upload.content.size, used: SPACE.used };
  }
  @Post('form') form(@Body() body: unknown) {
    return body;
  }
}

@Module({ imports: [HttpModule], controllers: [Things] })
class App {}

/** A small API with the real HTTP layer, listening on a free port of the loopback. */
export class HttpApp {
  private constructor(readonly app: NestFastifyApplication) {}

  static async start(): Promise<HttpApp> {
    const module = await Test.createTestingModule({ imports: [App] }).compile();
    const adapter = createHttpAdapter({ formRoutes: ['/api/t/form'], requestTimeout: 300 });
    const app = module.createNestApplication<NestFastifyApplication>(adapter, { logger: false });
    await app.listen(0, '127.0.0.1');
    return new HttpApp(app);
  }

  /** @param type content type; undefined sends none */
  async post(payload: string | Buffer, type: string | undefined, url: string) {
    const answer = await this.app.inject({
      method: 'POST',
      url,
      payload,
      headers: type ? { 'content-type': type } : {},
    });
    return { status: answer.statusCode, body: answer.json<Record<string, unknown>>(), headers: answer.headers };
  }

  async get(url: string, headers: Record<string, string> = {}) {
    const answer = await this.app.inject({ method: 'GET', url, headers });
    return { status: answer.statusCode, body: answer.json<Record<string, unknown>>(), headers: answer.headers };
  }

  /** Sends bytes as they are and answers all that comes back until the server closes. */
  async raw(text: string): Promise<string> {
    const socket = connect((this.app.getHttpServer().address() as AddressInfo).port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (answer += chunk));
    socket.on('error', () => undefined);
    socket.write(text);
    await once(socket, 'close');
    return answer;
  }

  /** Sends each text on one connection once the answer to the one before has come. @returns all that was answered */
  async talk(turns: readonly (readonly [text: string, answer: RegExp])[]): Promise<string> {
    const socket = connect((this.app.getHttpServer().address() as AddressInfo).port, '127.0.0.1');
    let answers = '';
    socket.setEncoding('latin1');
    try {
      for (const [text, answer] of turns) {
        const from = answers.length;
        socket.write(text);
        while (!answer.test(answers.slice(from))) answers += String(await once(socket, 'data'));
      }
      return answers;
    } finally {
      socket.destroy();
    }
  }

  close(): Promise<void> {
    return this.app.close();
  }
}
