import { Controller, Get, Inject, Post, Query, Req } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { FilesService, knowledgeBaseTypes, MAX_UPLOAD_BYTES, SUPPORTED_TYPES } from '@yuxi/knowledge';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type Caller, CurrentUser } from '../auth/index.js';
import { withObjectNames } from '../compat/legacy-fields.js';
import { readUpload, UploadSpace } from '../http/index.js';
import { uploadTarget } from './knowledge.schemas.js';

/** Of a body up to this size the rights are checked only once, with the upload itself. Bytes. */
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
    @CurrentUser() caller: Caller,
    @Query({ schema: uploadTarget }) { db_id }: z.output<typeof uploadTarget>,
    @Req() request: FastifyRequest,
  ) {
    // A large upload without the rights is refused before its body is received. A small body has arrived by now.
    if (!(Number(request.headers['content-length']) <= SMALL_BODY)) await this.files.assertMayUpload(caller, db_id);
    await using upload = await readUpload(request, { maxBytes: MAX_UPLOAD_BYTES, ...this.space.of(caller) });
    return withObjectNames(await this.files.upload(caller, db_id, upload.filename, upload.content));
  }

  @Get('files/supported-types')
  @ApiOperation({ summary: 'List the file extensions that can be parsed' })
  supportedTypes() {
    return { message: 'success', file_types: SUPPORTED_TYPES };
  }

  @Get('types')
  @ApiOperation({ summary: 'List the kinds of knowledge base' })
  types() {
    return { kb_types: knowledgeBaseTypes() };
  }
}
