import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { IngestService } from '@yuxi/knowledge';
import { z } from 'zod';
import { type Caller, CurrentUser } from '../auth/index.js';
import { ApiBodySchema } from '../http/index.js';
import { databaseId, ingest } from './knowledge.schemas.js';

const sagaId = z.string().min(1).max(128);

@ApiTags('knowledge')
@Controller('api/knowledge/databases/:db_id/ingest')
export class IngestController {
  constructor(@Inject(IngestService) private readonly ingestion: IngestService) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({ summary: 'Make an upload a searchable document, or remove it if that fails' })
  @ApiBodySchema(ingest)
  start(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: ingest }) { file_path, params }: z.output<typeof ingest>,
  ) {
    return this.ingestion.start(caller, dbId, file_path, params);
  }

  @Get(':saga_id')
  @ApiOperation({ summary: 'Get the state of an ingestion, with its timeline' })
  async get(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('saga_id', { schema: sagaId }) id: string,
  ) {
    return { saga: await this.ingestion.get(caller, dbId, id) };
  }

  @Delete(':saga_id')
  @ApiOperation({ summary: 'Cancel an ingestion before its document is published' })
  async cancel(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('saga_id', { schema: sagaId }) id: string,
  ) {
    return { saga: await this.ingestion.cancel(caller, dbId, id) };
  }
}
