import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Actor, IngestService } from '@yuxi/knowledge';
import { z } from 'zod';
import { CurrentUser } from '../auth/index.js';
import { ApiBodySchema } from '../http/index.js';
import { databaseId, ingest } from './knowledge.schemas.js';

const sagaId = z.string().min(1).max(128);

@ApiTags('knowledge')
@Controller('api/knowledge/databases/:db_id/ingest')
export class IngestController {
  constructor(@Inject(IngestService) private readonly ingestion: IngestService) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({ summary: 'Make an upload a searchable document, or leave nothing of it' })
  @ApiBodySchema(ingest)
  start(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: ingest }) { file_path, params }: z.output<typeof ingest>,
  ) {
    return this.ingestion.start(actor, dbId, file_path, params);
  }

  @Get(':saga_id')
  @ApiOperation({ summary: 'How far it is, with its timeline' })
  async get(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('saga_id', { schema: sagaId }) id: string,
  ) {
    return { saga: await this.ingestion.get(actor, dbId, id) };
  }

  @Delete(':saga_id')
  @ApiOperation({ summary: 'Cancel it, as long as the document is not published' })
  async cancel(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('saga_id', { schema: sagaId }) id: string,
  ) {
    return { saga: await this.ingestion.cancel(actor, dbId, id) };
  }
}
