import { describe, expect, it } from '@jest/globals';
import { ModelHosts } from '../outbound/model-hosts.js';
import { modelSection, specOf } from './model-settings.js';
import { modelFingerprint, modelSpecSchema } from './model-spec.js';

const section = modelSection();
const openai = {
  embedding_provider: 'openai',
  embedding_base_url: 'https://api.example.com/v1/',
  embedding_model: 'text-small',
  embedding_dimensions: 1024,
  embedding_api_key: 'env:YUXI_MODEL_KEY_OPENAI',
};
const problems = (values: object) =>
  section.safeParse(values).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];

describe('settings of the model', () => {
  it('describe the offline model by default', () => {
    expect(specOf(section.parse({}))).toEqual({
      provider: 'hashed',
      model: 'hashed-ngram',
      revision: '1',
      dimensions: 384,
    });
  });

  it('describe a server', () => {
    const spec = specOf(section.parse(openai));
    expect(spec).toMatchObject({ baseUrl: 'https://api.example.com/v1', model: 'text-small', timeoutMs: 30_000 });
    expect(modelSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(JSON.parse(JSON.stringify(spec)));
  });

  it.each([
    [{ embedding_provider: 'openai' }, 'embedding_base_url: must be set when embedding_provider is openai'],
    [{ ...openai, embedding_base_url: 'http://127.0.0.1:6379' }, 'embedding_base_url: blocked address'],
    [{ ...openai, embedding_base_url: 'gopher://example.com' }, 'embedding_base_url: must begin with https://'],
    [
      { ...openai, embedding_api_key: 'sk-secret' },
      'embedding_api_key: must be env:YUXI_MODEL_KEY_NAME or file:/run/secrets/models/name: put',
    ],
    ...[
      'env:JWT_SECRET',
      'env:SECRET_OPENAI',
      'env:YUXI_SETUP_TOKEN',
      'file:/run/secrets/jwt_secret',
      'file:/run/secrets/yuxi/DATABASE_URL',
      'file:/run/secrets/models',
      'file:/run/secrets/models/../jwt_secret',
      'file:/run/secrets/models-of-others/key',
      'file:/proc/self/environ',
    ].map(
      (key) => [{ ...openai, embedding_api_key: key }, 'embedding_api_key: must be env:YUXI_MODEL_KEY_NAME'] as const,
    ),
    [{ ...openai, embedding_dimensions: 0 }, 'embedding_dimensions'],
    [{ ...openai, embedding_dimensions: 5000 }, 'embedding_dimensions'],
    [{ ...openai, embedding_batch_size: 0 }, 'embedding_batch_size'],
    [{ embedding_provider: 'magic' }, 'embedding_provider'],
  ])('refuse %j', (values, problem) => {
    expect(problems(values).join('; ')).toContain(problem);
  });

  it('accept keys in a folder that the operator chose', () => {
    const own = modelSection(undefined, { envPrefix: 'YUXI_MODEL_KEY_', folder: '/srv/keys' });
    expect(own.safeParse({ ...openai, embedding_api_key: 'file:/srv/keys/openai' }).success).toBe(true);
    expect(own.safeParse({ ...openai, embedding_api_key: 'file:/run/secrets/models/openai' }).success).toBe(false);
    expect(section.safeParse({ ...openai, embedding_api_key: 'file:/run/secrets/models/openai' }).success).toBe(true);
  });

  it('allow a private address that the operator has listed', () => {
    const inside = modelSection(ModelHosts.parse('10.0.0.7:8080').hosts);
    expect(inside.safeParse({ ...openai, embedding_base_url: 'http://10.0.0.7:8080/v1' }).success).toBe(true);
    expect(inside.safeParse(openai).success).toBe(false);
  });

  it.each([
    ['embedding_model', 'other', true],
    ['embedding_base_url', 'https://other.example.com/v1', true],
    ['embedding_revision', '2', true],
    ['embedding_dimensions', 512, true],
    ['embedding_shorten', true, true],
    ['embedding_query_prefix', 'query: ', true],
    ['embedding_document_prefix', 'passage: ', true],
    ['embedding_api_key', 'env:YUXI_MODEL_KEY_OTHER', false],
    ['embedding_batch_size', 8, false],
    ['embedding_concurrency', 1, false],
    ['embedding_timeout_seconds', 5, false],
    ['embedding_retries', 0, false],
  ])('with another %s (%s) describe another model: %s', (key, value, other) => {
    const [a, b] = [openai, { ...openai, [key]: value }].map((values) =>
      modelFingerprint(specOf(section.parse(values))),
    );
    expect(a !== b).toBe(other);
  });
});
