import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put, Req, Res } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { FilesService, MAX_UPLOAD_BYTES } from '@yuxi/knowledge';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type Caller, CurrentUser } from '../auth/index.js';
import { ApiBodySchema, readUpload, UploadSpace } from '../http/index.js';
import { WaitForTask } from '../tasks/wait-for-task.js';
import { addDocuments, databaseId, documentId, fileIds, indexDocuments } from './knowledge.schemas.js';

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
  @ApiOperation({ summary: 'Add uploads as documents, parse them and, with auto_index, index them' })
  @ApiBodySchema(addDocuments)
  add(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: addDocuments }) { items, params }: z.output<typeof addDocuments>,
  ) {
    return this.files.add(caller, dbId, items, params);
  }

  @Post('parse')
  @HttpCode(202)
  @WaitForTask()
  @ApiOperation({ summary: 'Parse documents again' })
  @ApiBodySchema(fileIds)
  parse(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: fileIds }) ids: z.output<typeof fileIds>,
  ) {
    return this.files.parse(caller, dbId, ids);
  }

  @Post('index')
  @HttpCode(202)
  @WaitForTask()
  @ApiOperation({ summary: 'Index documents. Unchanged ones are skipped unless force is set' })
  @ApiBodySchema(indexDocuments)
  index(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: indexDocuments }) { file_ids, params }: z.output<typeof indexDocuments>,
  ) {
    return this.files.index(caller, dbId, file_ids, params);
  }

  @Delete('batch')
  @ApiOperation({ summary: 'Delete several documents' })
  @ApiBodySchema(fileIds)
  removeBatch(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Body({ schema: fileIds }) ids: z.output<typeof fileIds>,
  ) {
    return this.files.removeBatch(caller, dbId, ids);
  }

  @Get(':doc_id')
  @ApiOperation({ summary: 'Get a document: its properties, chunks and text' })
  get(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
  ) {
    return this.files.get(caller, dbId, docId);
  }

  @Get(':doc_id/basic')
  @ApiOperation({ summary: 'Get the properties of a document' })
  basic(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
  ) {
    return this.files.basic(caller, dbId, docId);
  }

  @Get(':doc_id/content')
  @ApiOperation({ summary: 'Get the chunks and the text of a document' })
  content(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
  ) {
    return this.files.content(caller, dbId, docId);
  }

  @Get(':doc_id/download')
  @ApiOperation({ summary: 'Download the uploaded file, always as an attachment' })
  async download(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
    @Res() reply: FastifyReply,
  ) {
    const file = await this.files.download(caller, dbId, docId);
    await reply
      .header('content-type', 'application/octet-stream')
      .header('content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(file.filename)}`)
      .send(file.content);
  }

  @Put(':doc_id/file')
  @HttpCode(202)
  @ApiConsumes('multipart/form-data')
  @ApiOperation({ summary: 'Replace the content of a document. Chunks that have not changed are kept' })
  async replace(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
    @Req() request: FastifyRequest,
  ) {
    await this.files.assertMayUpload(caller, dbId);
    await using upload = await readUpload(request, { maxBytes: MAX_UPLOAD_BYTES, ...this.space.of(caller) });
    return await this.files.replace(caller, dbId, docId, upload.filename, upload.content);
  }

  @Delete(':doc_id')
  @ApiOperation({ summary: 'Delete a document' })
  async remove(
    @CurrentUser() caller: Caller,
    @Param('db_id', { schema: databaseId }) dbId: string,
    @Param('doc_id', { schema: documentId }) docId: string,
  ) {
    await this.files.remove(caller, dbId, docId);
    return { message: 'deleted' };
  }
}
