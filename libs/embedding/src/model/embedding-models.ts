import { Inject, Injectable, type OnApplicationShutdown, Optional } from '@nestjs/common';
import { EmbeddingCache, type EmbeddingModel } from '@yuxi/cache';
import { LiveConfig } from '@yuxi/config-sync';
import { monotonicMs } from '@yuxi/core';
import { EmbeddingMetrics } from '../embedding.metrics.js';
import { EMBEDDING_OPTIONS, type EmbeddingOptions } from '../embedding.options.js';
import { ModelHosts } from '../outbound/model-hosts.js';
import { hashedVector } from '../providers/hashed.provider.js';
import type { OpenAiProvider } from '../providers/openai.provider.js';
import { modelFingerprint, type ModelSpec, type OpenAiSpec } from './model-spec.js';
import { modelSection, type ModelSettings, specOf } from './model-settings.js';

/** Some models need different prefixes for questions and documents. */
export type TextRole = 'query' | 'document';

export interface Embedded {
  /** One for each text, in order. Other callers share them, so do not change them. */
  vectors: Float32Array[];
  /** Number of texts that this call sent to the provider. The others were cached, or another call was computing them. */
  computed: number;
}

/** Whether a model answers now. */
export interface ModelCheck {
  model: string;
  dimensions: number;
  available: boolean;
  /** The reason of the failure, or `ok`. Contains no secret. */
  message: string;
  milliseconds: number;
}

/** Longest time for a check, because an administrator waits for it. */
const CHECK_MS = 10_000;
/** Milliseconds of computing after which the event loop gets a turn. */
const HASHED_SLICE_MS = 10;
/** Providers that are kept. More are only needed while models are being changed. */
const MAX_PROVIDERS = 8;

/** Makes vectors with the model of the settings, or with an earlier model that is still in use. */
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

  /** The model of the present settings, or the offline model in an application without settings. */
  current(): ModelSpec {
    const section = this.config?.get()['model'] as ModelSettings | undefined;
    return section ? specOf(section) : this.#withoutSettings;
  }

  /**
   * @param spec may be older than the settings. When only key, batch size, timeout or retries differ, those of the settings are used.
   * @throws {EmbeddingProviderError} {@link EmbeddingAnswerError} {@link BlockedAddressError}; an error when the key cannot be read
   */
  async embed(spec: ModelSpec, role: TextRole, texts: readonly string[]): Promise<Embedded> {
    const used = this.#upToDate(spec);
    if (used.provider === 'openai') return this.#embedByProvider(used, role, texts);
    const vectors: Float32Array[] = [];
    let sliceEnd = monotonicMs() + HASHED_SLICE_MS;
    for (const text of texts) {
      // Not cached, because computing is faster than reading from Redis.
      vectors.push(hashedVector(text, used.dimensions));
      if (monotonicMs() < sliceEnd) continue;
      await new Promise(setImmediate);
      sliceEnd = monotonicMs() + HASHED_SLICE_MS;
    }
    return { vectors, computed: texts.length };
  }

  /** Requests one vector, without cache and retries. Never rejects: the result contains the reason of a failure. */
  async check(spec: ModelSpec): Promise<ModelCheck> {
    const used = this.#upToDate(spec);
    const start = monotonicMs();
    const message = await this.#problemOf(used);
    const milliseconds = Math.round(monotonicMs() - start);
    const { model, dimensions } = used;
    return { model, dimensions, available: message === undefined, message: message ?? 'ok', milliseconds };
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.#providers.values()].map((provider) => provider.close()));
  }

  #upToDate(spec: ModelSpec): ModelSpec {
    const current = this.current();
    return modelFingerprint(spec) === modelFingerprint(current) ? current : spec;
  }

  async #problemOf(spec: ModelSpec): Promise<string | undefined> {
    if (spec.provider === 'hashed') return undefined;
    const withoutRetries = { ...spec, retries: 0, timeoutMs: Math.min(spec.timeoutMs, CHECK_MS) };
    try {
      await (await this.#providerOf(withoutRetries)).embed([`${spec.queryPrefix}status`]);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #embedByProvider(spec: OpenAiSpec, role: TextRole, texts: readonly string[]): Promise<Embedded> {
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
    // Loaded on first use: its HTTP client takes 10 MB, which a replica with the offline model does not need.
    const { OpenAiProvider: Client } = await import('../providers/openai.provider.js');
    const key = JSON.stringify(spec);
    const known = this.#providers.get(key);
    if (known) return known;
    const provider = new Client(spec, { ...this.options, hosts: this.#hosts });
    this.#providers.set(key, provider);
    const [oldest] = this.#providers.keys();
    // Not closed, because calls may be in progress. Its idle connections close by themselves.
    if (this.#providers.size > MAX_PROVIDERS) this.#providers.delete(oldest!);
    return provider;
  }
}
