import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Actor, DatabasesService, SearchService } from '@yuxi/knowledge';
import type { z } from 'zod';
import { CurrentUser, KeyAccess } from '../auth/index.js';
import { ApiBodySchema } from '../http/index.js';
import { createDatabase, databaseId, queryParams, search, updateDatabase } from './knowledge.schemas.js';

@ApiTags('knowledge')
@Controller('api/knowledge/databases')
export class DatabasesController {
  constructor(
    @Inject(DatabasesService) private readonly databases: DatabasesService,
    @Inject(SearchService) private readonly searches: SearchService,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Knowledge bases the caller may see' })
  async list(@CurrentUser() actor: Actor) {
    return { databases: await this.databases.list(actor) };
  }

  @Get('accessible')
  @ApiOperation({ summary: 'Names and ids of the knowledge bases the caller may search' })
  async accessible(@CurrentUser() actor: Actor) {
    return { databases: await this.databases.accessible(actor) };
  }

  @Post()
  @ApiOperation({ summary: 'Create a knowledge base' })
  @ApiBodySchema(createDatabase)
  create(@CurrentUser() actor: Actor, @Body({ schema: createDatabase }) body: z.output<typeof createDatabase>) {
    return this.databases.create(actor, body);
  }

  @Get(':db_id')
  @ApiOperation({ summary: 'One knowledge base with its documents' })
  get(@CurrentUser() actor: Actor, @Param('db_id', { schema: databaseId }) dbId: string) {
    return this.databases.get(actor, dbId);
  }

  @Put(':db_id')
  @ApiOperation({ summary: 'Change name, description or sharing' })
  @ApiBodySchema(updateDatabase)
  async update(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: updateDatabase }) body: z.output<typeof updateDatabase>,
  ) {
    return { message: 'updated', database: await this.databases.update(actor, dbId, body) };
  }

  @Delete(':db_id')
  @ApiOperation({ summary: 'Delete a knowledge base; what is in it goes in the background' })
  async remove(@CurrentUser() actor: Actor, @Param('db_id', { schema: databaseId }) dbId: string) {
    return { message: 'deleted', ...(await this.databases.remove(actor, dbId)) };
  }

  @Get(':db_id/query-params')
  @ApiOperation({ summary: 'Search options of a knowledge base and their values' })
  async queryParams(@CurrentUser() actor: Actor, @Param('db_id', { schema: databaseId }) dbId: string) {
    return { params: await this.databases.queryParams(actor, dbId), message: 'success' };
  }

  @Put(':db_id/query-params')
  @ApiOperation({ summary: 'Set search options of a knowledge base' })
  @ApiBodySchema(queryParams)
  async setQueryParams(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: queryParams }) body: z.output<typeof queryParams>,
  ) {
    return { params: await this.databases.setQueryParams(actor, dbId, body), message: 'success' };
  }

  @KeyAccess('read')
  @Post(':db_id/query')
  @HttpCode(200)
  @ApiOperation({ summary: 'Search a knowledge base' })
  @ApiBodySchema(search)
  query(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: search }) { query, meta }: z.output<typeof search>,
  ) {
    return this.searches.query(actor, dbId, query, meta);
  }

  @KeyAccess('read')
  @Post(':db_id/query-test')
  @HttpCode(200)
  @ApiOperation({ summary: 'Search a knowledge base; the bare list of results' })
  @ApiBodySchema(search)
  async queryTest(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: search }) { query, meta }: z.output<typeof search>,
  ) {
    return (await this.searches.query(actor, dbId, query, meta)).result;
  }
}
