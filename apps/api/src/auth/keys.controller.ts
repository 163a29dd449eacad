import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { ApiResponseSchema, idParam } from '../http/index.js';
import { ApiKeys } from './api-keys.js';
import { CurrentUser, SessionOnly } from './auth.decorators.js';
import { createKeyBody, keyView, newKeyView, toKeyView, type CreateKeyBody } from './auth.schemas.js';
import type { Caller } from './caller.js';

@ApiTags('auth')
@SessionOnly()
@Controller('api/auth/keys')
export class KeysController {
  constructor(private readonly keys: ApiKeys) {}

  @Post()
  @HttpCode(201)
  @ApiOperation({ summary: 'Create an API key. It acts as its user, within its scopes' })
  @ApiResponseSchema(201, 'The key. It is not shown again', newKeyView)
  async create(@CurrentUser() caller: Caller, @Body({ schema: createKeyBody }) body: CreateKeyBody) {
    const { key, stored } = await this.keys.create(caller, body);
    return { ...toKeyView(stored), key };
  }

  @Get()
  @ApiOperation({ summary: 'List your API keys' })
  @ApiResponseSchema(200, 'In the order of creation', z.array(keyView))
  async list(@CurrentUser() caller: Caller) {
    return (await this.keys.list(caller)).map(toKeyView);
  }

  @Delete(':id')
  @ApiOperation({ summary: 'Revoke an API key on all replicas at once' })
  @ApiResponseSchema(200, 'The key is revoked', z.object({ message: z.string() }))
  async revoke(@CurrentUser() caller: Caller, @Param('id', { schema: idParam }) id: number) {
    await this.keys.revoke(caller, id);
    return { message: 'revoked' };
  }
}
