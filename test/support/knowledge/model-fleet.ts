import { type ApiClient, eventually, type EmbeddingServer, startEmbeddingServer, upload } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet, startFleet } from '../fleet.js';

export const DIMENSIONS = 32;

/** Replicas that may use one model server, and talk to it. */
export interface ModelFleet {
  fleet: Fleet;
  provider: EmbeddingServer;
  /** Changes settings of the model. */
  use(settings: Record<string, unknown>): Promise<void>;
  /** The same, until all replicas have them. */
  useEverywhere(settings: Record<string, unknown>): Promise<void>;
  /** The settings of the model server, with a model of this name. */
  model(name: string, more?: Record<string, unknown>): Record<string, unknown>;
  /** Name of the model whose vectors answer. */
  live(dbId: string): Promise<string>;
  /** A knowledge base of these documents, indexed. */
  base(name: string, documents: Parameters<typeof upload>[3]): Promise<{ dbId: string; fileIds: string[] }>;
  stop(): Promise<void>;
}

export async function startModelFleet(replicas = 3): Promise<ModelFleet> {
  const provider = await startEmbeddingServer({ dimensions: DIMENSIONS });
  const fleet = await startFleet({
    replicas,
    env: () => ({ ALLOWED_MODEL_HOSTS: provider.host, YUXI_TASK_LEASE: '3s' }),
  }).catch(async (error: unknown) => {
    await provider.stop();
    throw error;
  });
  const { token } = fleet;
  const any = async <T>(call: (api: ApiClient) => Promise<T>): Promise<T> => {
    // Some of them may be down: that is what these tests are about.
    const failures: unknown[] = [];
    for (const client of fleet.apis)
      try {
        return await call(client);
      } catch (error) {
        failures.push(error);
      }
    throw new AggregateError(failures, 'no replica answers');
  };
  const use = async (settings: Record<string, unknown>) => {
    const { status, body } = await any((api) => api.post('/api/system/config/update', { json: settings, token }));
    if (status >= 300) throw new Error(`settings answered ${status}: ${JSON.stringify(body)}`);
  };
  return {
    fleet,
    provider,
    use,
    async useEverywhere(settings) {
      await use(settings);
      const { body } = await any((api) =>
        api.get<{ converged: boolean }>('/api/system/config/rollout?wait=20s', { token }),
      );
      if (!body.converged) throw new Error(`not all replicas serve ${JSON.stringify(settings)}`);
    },
    model: (name, more = {}) => ({
      embedding_provider: 'openai',
      embedding_base_url: provider.url,
      embedding_model: name,
      embedding_dimensions: DIMENSIONS,
      embedding_batch_size: 16,
      ...more,
    }),
    async live(dbId) {
      const { body } = await any((api) =>
        api.get<{ embed_info: { name: string } }>(`/api/knowledge/databases/${dbId}`, { token }),
      );
      return body.embed_info.name;
    },
    async base(name, documents) {
      const dbId = await createKnowledgeBase(fleet.apis[0]!, token, name);
      const { fileIds } = await upload(fleet.apis, token, dbId, documents);
      const ids = [...fileIds.values()];
      await fleet.apis[0]!.post(`/api/knowledge/databases/${dbId}/documents`, {
        json: { items: ids, params: { auto_index: true } },
        token,
      });
      await eventually(
        async () => {
          const [row] = await fleet.sql<{ n: number }>(
            `SELECT count(*)::int AS n FROM files f JOIN databases d ON d.id = f.kb_id WHERE d.db_id = $1 AND f.status = 'indexed'`,
            [dbId],
          );
          return row!.n === ids.length;
        },
        { timeout: 300_000, every: 200, describe: `${ids.length} files of ${name}` },
      );
      return { dbId, fileIds: ids };
    },
    async stop() {
      await fleet.stop();
      await provider.stop();
    },
  };
}
