import { isLexical, type ModelSpec } from '@yuxi/embedding';

import { type ShareConfig, type ShareConfigView, viewShareConfig } from './share-config.js';

export interface EmbedInfo {
  name: string;
  provider: ModelSpec['provider'];
  dimension: number;
  /** Finds words and spellings only, not meanings. */
  lexical: boolean;
}

/** A database as answers carry it. */
export interface DatabaseView {
  db_id: string;
  name: string;
  description: string;
  kb_type: string;
  /** The model whose vectors answer; `null` without vectors. */
  embed_info: EmbedInfo | null;
  llm_info: Record<string, unknown> | null;
  query_params: Record<string, unknown>;
  /** The additional parameters. */
  metadata: Record<string, unknown>;
  /** ISO 8601, UTC. */
  created_at: string;
  /** Documents in it. */
  row_count: number;
  share_config: ShareConfigView;
  owner: { id: number; username: string };
}

export interface DatabaseRow {
  db_id: string;
  name: string;
  description: string;
  kb_type: string;
  model: ModelSpec | null;
  llm_info: Record<string, unknown> | null;
  query_params: Record<string, unknown>;
  additional_params: Record<string, unknown>;
  created_at: Date | string;
  row_count: number;
  share_config: ShareConfig;
  owner_id: number;
  owner_name: string;
}

/** Selects a {@link DatabaseRow} from `databases d JOIN users o`. */
export const DATABASE_COLUMNS = `d.db_id, d.name, d.description, d.kb_type, d.llm_info, d.query_params,
  d.additional_params, d.created_at, d.share_config, d.owner_id, o.username AS owner_name,
  (SELECT g.model FROM index_generations g WHERE g.kb_id = d.id AND g.generation = d.index_generation) AS model,
  (SELECT count(*)::int FROM files f WHERE f.kb_id = d.id AND f.added) AS row_count`;

export function viewDatabase(row: DatabaseRow): DatabaseView {
  const { additional_params, owner_id, owner_name, share_config, created_at, model, ...rest } = row;
  return {
    ...rest,
    embed_info: model && {
      name: model.model,
      provider: model.provider,
      dimension: model.dimensions,
      lexical: isLexical(model),
    },
    metadata: additional_params,
    created_at: new Date(created_at).toISOString(),
    share_config: viewShareConfig(share_config),
    owner: { id: owner_id, username: owner_name },
  };
}
