import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { DatabasesService, SearchService } from '@yuxi/knowledge';
import type { z } from 'zod';
import { type Caller, CurrentUser, KeyAccess } from '../auth/index.js';
import { withStatus } from '../compat/legacy-fields.js';
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
  @ApiOperation({ summary: 'List the knowledge bases that you may see' })
  async list(@CurrentUser() caller: Caller) {
    return { databases: (await this.databases.list(caller)).map(withStatus) };
  }

  @Get('accessible')
  @ApiOperation({ summary: 'List names and ids of the knowledge bases that you may search' })
  async accessible(@CurrentUser() caller: Caller) {
    return { databases: await this.databases.accessible(caller) };
  }

  @Post()
  @ApiOperation({ summary: 'Create a knowledge base' })
  @ApiBodySchema(createDatabase)
  async create(@CurrentUser() caller: Caller, @Body({ schema: createDatabase }) body: z.output<typeof createDatabase>) {
    return withStatus(await this.databases.create(caller, body));
  }

  @Get(':db_id')
  @ApiOperation({ summary: 'Get a knowledge base with its documents' })
  async get(@CurrentUser() caller: Caller, @Param('db_id', { schema: databaseId }) dbId: string) {
    return withStatus(await this.databases.get(caller, dbId));
  }

  @Put(':db_id')
  @ApiOperation({ summary: 'Change the name, description or sharing of a knowledge base' })
  @ApiBodySchema(updateDatabase)
  async update(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: updateDatabase }) body: z.output<typeof updateDatabase>,
  ) {
    return { message: 'updated', database: withStatus(await this.databases.update(caller, dbId, body)) };
  }

  @Delete(':db_id')
  @ApiOperation({ summary: 'Delete a knowledge base. Its documents are removed in the background' })
  async remove(@CurrentUser() caller: Caller, @Param('db_id', { schema: databaseId }) dbId: string) {
    return { message: 'deleted', ...(await this.databases.remove(caller, dbId)) };
  }

  @Get(':db_id/query-params')
  @ApiOperation({ summary: 'Get the search options of a knowledge base and their values' })
  async queryParams(@CurrentUser() caller: Caller, @Param('db_id', { schema: databaseId }) dbId: string) {
    return { params: await this.databases.queryParams(caller, dbId), message: 'success' };
  }

  @Put(':db_id/query-params')
  @ApiOperation({ summary: 'Set search options of a knowledge base' })
  @ApiBodySchema(queryParams)
  async setQueryParams(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: queryParams }) body: z.output<typeof queryParams>,
  ) {
    return { params: await this.databases.setQueryParams(caller, dbId, body), message: 'success' };
  }

  @KeyAccess('read')
  @Post(':db_id/query')
  @HttpCode(200)
  @ApiOperation({ summary: 'Search a knowledge base' })
  @ApiBodySchema(search)
  query(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: search }) { query, meta }: z.output<typeof search>,
  ) {
    return this.searches.query(caller, dbId, query, meta);
  }

  @KeyAccess('read')
  @Post(':db_id/query-test')
  @HttpCode(200)
  @ApiOperation({ summary: 'Search a knowledge base. The response is the list of results only' })
  @ApiBodySchema(search)
  async queryTest(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: search }) { query, meta }: z.output<typeof search>,
  ) {
    return (await this.searches.query(caller, dbId, query, meta)).result;
  }
}
