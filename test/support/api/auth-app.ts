import { Body, Controller, Get, Module, Post, type Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { RedisModule } from '@yuxi/redis';
import { DATABASE, StorageModule, type Database } from '@yuxi/storage';
import { DEFAULT_LIMITS } from '../../../apps/api/src/limits/live-limits.js';
import { LimiterModule, type LimiterModuleOptions } from '@yuxi/throttler';
import { AuditModule, type AuditOptions } from '../../../apps/api/src/audit/index.js';
import {
  AuthModule,
  CurrentUser,
  KeyAccess,
  Roles,
  type AuthOptions,
  type Caller,
} from '../../../apps/api/src/auth/index.js';
import { AuditController } from '../../../apps/api/src/system/audit.controller.js';
import { Passwords } from '../../../apps/api/src/auth/passwords.js';
import { createHttpAdapter, HttpModule } from '../../../apps/api/src/http/index.js';

export const PASSWORD = 'correct horse';

@Controller('api/probe')
class Probe {
  @Post('superadmin') @Roles('superadmin') highest(@CurrentUser() { userId }: Caller) {
    return { userId };
  }
  @Get('see') see(@CurrentUser() { userId, role }: Caller) {
    return { userId, role };
  }
  @KeyAccess('read') @Post('search') search() {
    return { found: true };
  }
  @Post('echo') echo(@Body() body: unknown) {
    return body;
  }
}

export interface Answer {
  status: number;
  body: Record<string, unknown>;
  headers: Record<string, unknown>;
}

export interface AuthAppOptions {
  databaseUrl?: string;
  auth?: AuthOptions;
  audit?: AuditOptions;
  limiter?: LimiterModuleOptions;
  /** Replaces the checker of passwords. */
  passwords?: Type<Passwords>;
}

/** How many answers there are of each status. */
export function counted(answers: readonly Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** The API with authentication only, without Redis. */
export class AuthApp {
  private constructor(readonly app: NestFastifyApplication) {}

  static async start({
    databaseUrl,
    auth = {},
    audit = {},
    limiter = { login: { limit: 1000 } },
    passwords = Passwords,
  }: AuthAppOptions = {}) {
    @Module({
      imports: [
        RedisModule.forRoot(),
        LimiterModule.forRoot({ policies: DEFAULT_LIMITS, ...limiter }),
        StorageModule.forRoot({ databaseUrl }),
        HttpModule,
        AuditModule.forRoot(audit),
        AuthModule.forRoot(auth),
      ],
      controllers: [Probe, AuditController],
    })
    class App {}
    const module = await Test.createTestingModule({ imports: [App] })
      .overrideProvider(Passwords)
      .useClass(passwords)
      .compile();
    const app = module.createNestApplication<NestFastifyApplication>(createHttpAdapter(), { logger: false });
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    return new AuthApp(app);
  }

  get database(): Database {
    return this.app.get<Database>(DATABASE);
  }

  /** @param body an object is sent as JSON, a string as a form */
  async call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: string,
    body?: object | string,
    token?: string,
  ): Promise<Answer> {
    const answer = await this.app.inject({
      method,
      url,
      payload: body,
      headers: {
        ...(typeof body === 'string' && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...(token && { authorization: `Bearer ${token}` }),
      },
    });
    return { status: answer.statusCode, body: answer.json<Record<string, unknown>>(), headers: answer.headers };
  }

  login(username: string, password = PASSWORD): Promise<Answer> {
    return this.call('POST', '/api/auth/token', { username, password });
  }

  /** Makes a plain user, or an admin. @returns its number and a token */
  async addUser(root: string, userId: string, role = 'user'): Promise<{ id: number; token: string }> {
    const user = { user_id: userId, username: 'x', password: PASSWORD, role };
    const { status, body } = await this.call('POST', '/api/auth/users', user, root);
    if (status !== 201) throw new Error(`creating ${userId} answered ${status}`);
    return { id: body['id'] as number, token: await this.tokenOf(userId) };
  }

  /** Logs in. @returns the access token */
  async tokenOf(username: string, password = PASSWORD): Promise<string> {
    const { status, body } = await this.login(username, password);
    if (status !== 200) throw new Error(`login of ${username} answered ${status}`);
    return body['access_token'] as string;
  }

  initialize(body: object = { user_id: 'root', password: PASSWORD }): Promise<Answer> {
    return this.call('POST', '/api/auth/initialize', body);
  }

  close(): Promise<void> {
    return this.app.close();
  }
}
