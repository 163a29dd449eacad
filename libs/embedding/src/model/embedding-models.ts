import { Inject, Injectable, type OnApplicationShutdown, Optional } from '@nestjs/common';
import { EmbeddingCache, type EmbeddingModel } from '@yuxi/cache';
import { LiveConfig } from '@yuxi/config-sync';
import { monotonicMs } from '@yuxi/core';
import { EMBEDDING_OPTIONS, type EmbeddingOptions } from '../embedding.options.js';
import { EmbeddingMetrics } from '../embedding.metrics.js';
import { ModelHosts } from '../outbound/model-hosts.js';
import { hashedVector } from '../providers/hashed.provider.js';
import type { OpenAiProvider } from '../providers/openai.provider.js';
import { modelFingerprint, type ModelSpec, type OpenAiSpec } from './model-spec.js';
import { modelSection, type ModelSettings, specOf } from './model-settings.js';

/** A question and a document may need other words before them, and have other vectors then. */
export type TextRole = 'query' | 'document';

export interface Embedded {
  /** One for each text, in order; shared, not to be changed. */
  vectors: Float32Array[];
  /** Texts that this call asked the provider for; the others were known, or asked for by somebody else. */
  computed: number;
}

/** Whether a model answers now. */
export interface ModelCheck {
  model: string;
  dimensions: number;
  available: boolean;
  /** What is wrong; `ok` otherwise. Holds no secret. */
  message: string;
  milliseconds: number;
}

/** Longest time for a check: somebody waits for it. */
const CHECK_MS = 10_000;
/** Milliseconds of work after which a process that computes vectors by itself does other things. */
const HASHED_SLICE_MS = 10;
/** Providers kept; more are only there while models are being changed. */
const MOST_PROVIDERS = 8;

/** The model of the settings, and vectors by it or by any other that is still in use. */
@Injectable()
export class EmbeddingModels implements OnApplicationShutdown {
  readonly #hosts: ModelHosts;
  readonly #withoutSettings: ModelSpec;
  readonly #providers = new Map<string, OpenAiProvider>();

  constructor(
    @Inject(EMBEDDING_OPTIONS) private readonly options: EmbeddingOptions,
    private readonly cache: EmbeddingCache,
    private readonly metrics: EmbeddingMetrics,
    @Optional() @Inject(LiveConfig) private readonly config?: LiveConfig,
  ) {
    this.#hosts = options.hosts ?? ModelHosts.parse(undefined).hosts;
    this.#withoutSettings = specOf(modelSection(this.#hosts).parse({}));
  }

  /** The model that the settings name now; the offline one where there are none. */
  current(): ModelSpec {
    const section = this.config?.get()['model'] as ModelSettings | undefined;
    return section ? specOf(section) : this.#withoutSettings;
  }

  /**
   * @param spec a model whose key, batches or patience were changed in the settings since is called with the new ones.
   * @throws {EmbeddingProviderError} {@link EmbeddingAnswerError} {@link BlockedAddressError}; errors of a secret that cannot be read
   */
  async embed(spec: ModelSpec, role: TextRole, texts: readonly string[]): Promise<Embedded> {
    const used = this.#inForce(spec);
    if (used.provider === 'openai') return this.#ask(used, role, texts);
    const vectors: Float32Array[] = [];
    let sliceEnd = monotonicMs() + HASHED_SLICE_MS;
    for (const text of texts) {
      // Cheaper to make than to look for.
      vectors.push(hashedVector(text, used.dimensions));
      if (monotonicMs() < sliceEnd) continue;
      await new Promise(setImmediate);
      sliceEnd = monotonicMs() + HASHED_SLICE_MS;
    }
    return { vectors, computed: texts.length };
  }

  /** Asks the model for one vector, once and past the cache. Never fails: what is wrong is in the answer. */
  async check(spec: ModelSpec): Promise<ModelCheck> {
    const used = this.#inForce(spec);
    const start = monotonicMs();
    const message = await this.#problemOf(used);
    const milliseconds = Math.round(monotonicMs() - start);
    const { model, dimensions } = used;
    return { model, dimensions, available: message === undefined, message: message ?? 'ok', milliseconds };
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.#providers.values()].map((provider) => provider.close()));
  }

  #inForce(spec: ModelSpec): ModelSpec {
    const current = this.current();
    return modelFingerprint(spec) === modelFingerprint(current) ? current : spec;
  }

  async #problemOf(spec: ModelSpec): Promise<string | undefined> {
    if (spec.provider === 'hashed') return undefined;
    const impatient = { ...spec, retries: 0, timeoutMs: Math.min(spec.timeoutMs, CHECK_MS) };
    try {
      await (await this.#providerOf(impatient)).embed([`${spec.queryPrefix}status`]);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #ask(spec: OpenAiSpec, role: TextRole, texts: readonly string[]): Promise<Embedded> {
    const provider = await this.#providerOf(spec);
    const prefix = role === 'query' ? spec.queryPrefix : spec.documentPrefix;
    let computed = 0;
    const model: EmbeddingModel = {
      endpoint: spec.baseUrl,
      model: spec.model,
      revision: spec.shorten ? `${spec.revision ?? ''}/shortened` : spec.revision,
      dimensions: spec.dimensions,
      prefix,
      batchSize: spec.batchSize,
      embed: async (missing) => {
        computed += missing.length;
        return this.metrics.timed(() => provider.embed(missing.map((text) => prefix + text)));
      },
    };
    return { vectors: await this.cache.embedMany(model, texts), computed };
  }

  async #providerOf(spec: OpenAiSpec): Promise<OpenAiProvider> {
    // Its HTTP client takes 10 MB, which a replica with the offline model should not carry.
    const { OpenAiProvider: Client } = await import('../providers/openai.provider.js');
    const key = JSON.stringify(spec);
    const known = this.#providers.get(key);
    if (known) return known;
    const provider = new Client(spec, { ...this.options, hosts: this.#hosts });
    this.#providers.set(key, provider);
    const [oldest] = this.#providers.keys();
    // Not closed: calls may be under way. Its idle connections end by themselves.
    if (this.#providers.size > MOST_PROVIDERS) this.#providers.delete(oldest!);
    return provider;
  }
}
