import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { ApiAnswer, idParam } from '../../http/index.js';
import { CurrentUser, SessionOnly } from '../auth.decorators.js';
import type { Caller } from '../caller.js';
import { createKeyBody, keyView, newKeyView, toKeyView, type CreateKeyBody } from './api-key.schemas.js';
import { ApiKeys } from './api-keys.js';

@ApiTags('auth')
@SessionOnly()
@Controller('api/auth/keys')
export class KeysController {
  constructor(private readonly keys: ApiKeys) {}

  @Post()
  @HttpCode(201)
  @ApiOperation({ summary: 'Make an API key; it speaks for the caller, within its scopes' })
  @ApiAnswer(201, 'The key, shown this once', newKeyView)
  async create(@CurrentUser() caller: Caller, @Body({ schema: createKeyBody }) body: CreateKeyBody) {
    const { key, stored } = await this.keys.create(caller, body);
    return { ...toKeyView(stored), key };
  }

  @Get()
  @ApiOperation({ summary: 'The own API keys' })
  @ApiAnswer(200, 'In the order of creation', z.array(keyView))
  async list(@CurrentUser() caller: Caller) {
    return (await this.keys.list(caller)).map(toKeyView);
  }

  @Delete(':id')
  @ApiOperation({ summary: 'Revoke an API key, on every replica at once' })
  @ApiAnswer(200, 'Done', z.object({ message: z.string() }))
  async revoke(@CurrentUser() caller: Caller, @Param('id', { schema: idParam }) id: number) {
    await this.keys.revoke(caller, id);
    return { message: 'revoked' };
  }
}
