import { YuxiError } from '@yuxi/core';
import { EmbeddingProviderError } from '../embedding.errors.js';

/** Statuses after which the same request may succeed. */
const PASSING = new Set([408, 409, 425, 429, 500, 502, 503, 504, 507, 529]);
const LONGEST_REASON = 300;

/** What a status other than 200 means, in the provider's words. The key never appears in it, even where the provider repeats it. */
export function refusalOf(
  model: string,
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: string,
  key: string | undefined,
): EmbeddingProviderError {
  const said = key ? reasonIn(body).replaceAll(key, '***') : reasonIn(body);
  const reason = said.slice(0, LONGEST_REASON);
  return new EmbeddingProviderError(model, `the provider answered ${status}${reason && `: ${reason}`}`, {
    retryable: PASSING.has(status),
    retryAfter: retryAfterOf(headers['retry-after']),
  });
}

/** Errors of the connection become errors of the provider; those of ours stay what they are. */
export function failureOf(model: string, error: unknown): YuxiError {
  const cause = error instanceof Error ? error.cause : undefined;
  if (error instanceof YuxiError) return error;
  if (cause instanceof YuxiError) return cause;
  const { name, message, code } = error as Error & { code?: string };
  const reason = name === 'TimeoutError' ? 'no answer in time' : `cannot be reached (${code ?? message})`;
  return new EmbeddingProviderError(model, reason, { cause: error });
}

/** Seconds or a date (RFC 9110), as milliseconds from now. */
function retryAfterOf(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (!text) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

function reasonIn(body: string): string {
  try {
    const { error, message, detail } = JSON.parse(body) as Record<string, unknown>;
    const inner = typeof error === 'object' && error !== null ? (error as { message?: unknown }).message : error;
    const reason = [inner, message, detail].find((each) => typeof each === 'string');
    return typeof reason === 'string' ? reason : '';
  } catch {
    return body.replace(/\s+/g, ' ').trim();
  }
}
