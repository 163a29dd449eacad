import { Controller, Get, Inject, Param } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { EmbeddingModels, type ModelCheck, type ModelSpec } from '@yuxi/embedding';
import { Generations } from '@yuxi/knowledge';
import { z } from 'zod';
import { Roles } from '../auth/index.js';
import { ApiError } from '../http/index.js';

const modelId = z.string().min(1).max(200);

/** Checks the models of the settings and of the knowledge bases. Each call requests a vector, which may cost a few tokens. */
@ApiTags('knowledge')
@Roles('admin')
@Controller('api/knowledge/embedding-models')
export class EmbeddingModelsController {
  constructor(
    @Inject(EmbeddingModels) private readonly models: EmbeddingModels,
    @Inject(Generations) private readonly generations: Generations,
  ) {}

  @Get('status')
  @ApiOperation({ summary: 'Check each embedding model in use by requesting one vector' })
  async all() {
    const statuses = await Promise.all((await this.generations.modelsInUse()).map((spec) => this.#statusOf(spec)));
    const models = Object.fromEntries(statuses.map((status) => [status.model_id, status]));
    const available = statuses.filter(({ status }) => status === 'available').length;
    return { status: { models, total: statuses.length, available }, message: 'success' };
  }

  @Get(':model_id/status')
  @ApiOperation({ summary: 'Check one embedding model by requesting one vector' })
  async one(@Param('model_id', { schema: modelId }) id: string) {
    const spec = (await this.generations.modelsInUse()).find(({ model }) => model === id);
    if (!spec) throw new ApiError('NOT_FOUND', `No embedding model "${id}" is in use`);
    return { status: await this.#statusOf(spec), message: 'success' };
  }

  async #statusOf(spec: ModelSpec) {
    return toStatus(await this.models.check(spec));
  }
}

function toStatus({ model, dimensions, available, message, milliseconds }: ModelCheck) {
  const status = available ? ('available' as const) : ('unavailable' as const);
  return { model_id: model, status, message, dimension: dimensions, duration_ms: milliseconds };
}
