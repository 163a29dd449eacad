import { assertVector, type EmbeddingAnswer, EmbeddingAnswerError } from '@yuxi/cache';
import { readSecret, type SecretPlaces } from '@yuxi/config-sync';
import { Semaphore, jitter, sleep } from '@yuxi/core';
import { Agent, request } from 'undici';
import { BlockedAddressError, EmbeddingProviderError } from '../embedding.errors.js';
import type { EmbeddingOptions } from '../embedding.options.js';
import { MODEL_KEYS } from '../model/model-settings.js';
import type { OpenAiSpec } from '../model/model-spec.js';
import type { ModelHosts } from '../outbound/model-hosts.js';
import { publicLookup } from '../outbound/public-addresses.js';
import { failureOf, readAnswer, refusalOf } from './openai.response.js';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 20_000;
/** A longer `Retry-After` fails at once, and the task runs again later. */
const LONGEST_RETRY_AFTER_MS = 60_000;
const CONNECT_MS = 5000;
/** Bytes of an answer. 2,048 vectors of 4,000 numbers as text have about this size. */
const LARGEST_ANSWER = 256 * 1024 * 1024;

/**
 * Calls `POST <base URL>/embeddings`. Each process has one for each specification, because it holds the connections and limits the number of
 * calls at the same time.
 */
export class OpenAiProvider {
  readonly #agent: Agent;
  readonly #semaphore: Semaphore;
  readonly #variable: (name: string) => string | undefined;
  readonly #keys: SecretPlaces;

  /**
   * @param lookup resolves a host that is not listed
   * @throws {BlockedAddressError} the base URL is not allowed, or not any more
   */
  constructor(
    private readonly spec: OpenAiSpec,
    { hosts, variable = () => undefined, keys = MODEL_KEYS }: EmbeddingOptions & { hosts: ModelHosts },
    lookup = publicLookup(),
  ) {
    if (hosts.problemOf(spec.baseUrl) !== undefined) throw new BlockedAddressError(new URL(spec.baseUrl).host);
    const listed = hosts.isListed(new URL(spec.baseUrl));
    this.#agent = new Agent({
      connect: { timeout: CONNECT_MS, ...(!listed && { lookup }) },
      connections: spec.concurrency,
      maxResponseSize: LARGEST_ANSWER,
    });
    this.#semaphore = new Semaphore(spec.concurrency);
    this.#variable = variable;
    this.#keys = keys;
  }

  /**
   * Calls the provider. Retries after a pause when it is overloaded, unavailable or slow, or when its answer is invalid. A `Retry-After`
   * makes the pause longer.
   * @throws {EmbeddingProviderError} with the reason of the provider; {@link EmbeddingAnswerError}; {@link BlockedAddressError}
   */
  async embed(texts: readonly string[]): Promise<EmbeddingAnswer> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#semaphore.run(() => this.#call(texts));
      } catch (error) {
        const failure = failureOf(this.spec.model, error);
        if (!failure.retryable || attempt >= this.spec.retries) throw failure;
        const retryAfter = failure instanceof EmbeddingProviderError ? (failure.retryAfter ?? 0) : 0;
        if (retryAfter > LONGEST_RETRY_AFTER_MS) throw failure;
        await sleep(
          Math.max(retryAfter, jitter(Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS))),
          undefined,
          true,
        );
      }
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #call(texts: readonly string[]): Promise<EmbeddingAnswer> {
    const { baseUrl, model, dimensions, shorten, apiKey, timeoutMs } = this.spec;
    const key = apiKey === undefined ? undefined : await readSecret(apiKey, this.#variable, this.#keys);
    // The timeout is for the whole call, so it also ends an answer that arrives very slowly. Redirects are not followed.
    const { statusCode, headers, body } = await request(`${baseUrl}/embeddings`, {
      method: 'POST',
      dispatcher: this.#agent,
      signal: AbortSignal.timeout(timeoutMs),
      headers: { 'content-type': 'application/json', ...(key !== undefined && { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({ model, input: texts, encoding_format: 'float', ...(shorten && { dimensions }) }),
    });
    const text = await body.text();
    if (statusCode !== 200) throw refusalOf(model, statusCode, headers, text, key);
    const answer = readAnswer(model, parsed(model, text), texts.length);
    for (const vector of answer.vectors) assertVector({ model, dimensions }, vector);
    return answer;
  }
}

function parsed(model: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EmbeddingAnswerError(model, 'an answer that is not JSON', cause);
  }
}
