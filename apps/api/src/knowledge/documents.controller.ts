import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put, Req, Res } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Actor, FilesService } from '@yuxi/knowledge';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { CurrentUser } from '../auth/index.js';
import { ApiBodySchema, readUpload } from '../http/index.js';
import { WaitForTask } from '../tasks/wait-for-task.js';
import { addDocuments, databaseId, documentId, fileIds, indexDocuments } from './knowledge.schemas.js';
import { UploadSpace } from './upload-space.js';

@ApiTags('knowledge')
@Controller('api/knowledge/databases/:db_id/documents')
export class DocumentsController {
  constructor(
    @Inject(FilesService) private readonly files: FilesService,
    @Inject(UploadSpace) private readonly space: UploadSpace,
  ) {}

  @Post()
  @HttpCode(202)
  @WaitForTask()
  @ApiOperation({ summary: 'List uploads as documents, parse them and, with auto_index, index them' })
  @ApiBodySchema(addDocuments)
  add(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: addDocuments }) { items, params }: z.output<typeof addDocuments>,
  ) {
    return this.files.add(actor, dbId, items, params);
  }

  @Post('parse')
  @HttpCode(202)
  @WaitForTask()
  @ApiOperation({ summary: 'Parse documents again' })
  @ApiBodySchema(fileIds)
  parse(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: fileIds }) ids: z.output<typeof fileIds>,
  ) {
    return this.files.parse(actor, dbId, ids);
  }

  @Post('index')
  @HttpCode(202)
  @WaitForTask()
  @ApiOperation({ summary: 'Index documents; unchanged ones are left alone unless force is set' })
  @ApiBodySchema(indexDocuments)
  index(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: indexDocuments }) { file_ids, params }: z.output<typeof indexDocuments>,
  ) {
    return this.files.index(actor, dbId, file_ids, params);
  }

  @Delete('batch')
  @ApiOperation({ summary: 'Delete several documents' })
  @ApiBodySchema(fileIds)
  removeBatch(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: fileIds }) ids: z.output<typeof fileIds>,
  ) {
    return this.files.removeBatch(actor, dbId, ids);
  }

  @Get(':doc_id')
  @ApiOperation({ summary: 'A document: what is known of it, its chunks and its text' })
  get(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
  ) {
    return this.files.get(actor, dbId, docId);
  }

  @Get(':doc_id/basic')
  @ApiOperation({ summary: 'What is known of a document' })
  basic(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
  ) {
    return this.files.basic(actor, dbId, docId);
  }

  @Get(':doc_id/content')
  @ApiOperation({ summary: 'Chunks and text of a document' })
  content(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
  ) {
    return this.files.content(actor, dbId, docId);
  }

  @Get(':doc_id/download')
  @ApiOperation({ summary: 'The file as it was uploaded, always as an attachment' })
  async download(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
    @Res() reply: FastifyReply,
  ) {
    const file = await this.files.download(actor, dbId, docId);
    await reply
      .header('content-type', 'application/octet-stream')
      .header('content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(file.filename)}`)
      .send(file.content);
  }

  @Put(':doc_id/file')
  @HttpCode(202)
  @ApiConsumes('multipart/form-data')
  @ApiOperation({ summary: 'Give a document another content; what has not changed of it is kept' })
  async replace(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
    @Req() request: FastifyRequest,
  ) {
    await this.files.assertMayUpload(actor, dbId);
    await using upload = await readUpload(request, this.space.of(actor));
    return await this.files.replace(actor, dbId, docId, upload.filename, upload.content);
  }

  @Delete(':doc_id')
  @ApiOperation({ summary: 'Delete a document' })
  async remove(
    @CurrentUser() actor: Actor,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
  ) {
    await this.files.remove(actor, dbId, docId);
    return { message: 'deleted' };
  }
}
