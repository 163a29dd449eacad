import { Controller, Get, Inject, Post, Query, Req } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Actor, FilesService, knowledgeBaseTypes, SUPPORTED_TYPES } from '@yuxi/knowledge';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { CurrentUser } from '../auth/index.js';
import { readUpload } from '../http/index.js';
import { uploadTarget } from './knowledge.schemas.js';
import { UploadSpace } from './upload-space.js';

/** Up to here the rights are looked at once, with the upload itself, bytes. */
const SMALL_BODY = 64 * 1024;

@ApiTags('knowledge')
@Controller('api/knowledge')
export class FilesController {
  constructor(
    @Inject(FilesService) private readonly files: FilesService,
    @Inject(UploadSpace) private readonly space: UploadSpace,
  ) {}

  @Post('files/upload')
  @ApiConsumes('multipart/form-data')
  @ApiOperation({ summary: 'Upload one file of at most 50 MB to a knowledge base' })
  async upload(
    @CurrentUser() actor: Actor,
    @Query({ schema: uploadTarget }) { db_id }: z.output<typeof uploadTarget>,
    @Req() request: FastifyRequest,
  ) {
    // Nobody sends 50 MB only to hear that the knowledge base is not theirs; a small body is here by now.
    if (!(Number(request.headers['content-length']) <= SMALL_BODY)) await this.files.assertMayUpload(actor, db_id);
    await using upload = await readUpload(request, this.space.of(actor));
    return await this.files.upload(actor, db_id, upload.filename, upload.content);
  }

  @Get('files/supported-types')
  @ApiOperation({ summary: 'Endings of the files that can be parsed' })
  supportedTypes() {
    return { message: 'success', file_types: SUPPORTED_TYPES };
  }

  @Get('types')
  @ApiOperation({ summary: 'Kinds of knowledge base' })
  types() {
    return { kb_types: knowledgeBaseTypes() };
  }
}
