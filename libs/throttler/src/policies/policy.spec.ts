import { describe, expect, it } from '@jest/globals';
import { OptionsError } from '@yuxi/core';
import { captureLog, replica } from '../../../../test/support/limiter/limiter.fixture.js';
import { compilePolicy, type LimitPolicy, wireOf } from './policy.js';
import { PolicyBook } from './policy-book.js';

const good: LimitPolicy = { name: 'good', limit: 10, window: '1m' };
const steps = { base: '1s' };

describe('a policy', () => {
  it.each<[string, object]>([
    ['limit', { limit: 0 }],
    ['limit', { limit: -1 }],
    ['limit', { limit: Number.NaN }],
    ['limit', { limit: 1.5 }],
    ['limit', { limit: Infinity }],
    ['limit', { limit: 1e10 }],
    ['limit', { limit: '10' }],
    ['limit', { limit: undefined }],
    ['window', { window: 0 }],
    ['window', { window: -1 }],
    ['window', { window: Number.NaN }],
    ['window', { window: '60 sec' }],
    ['window', { window: 2 ** 31 }],
    ['window', { window: undefined }],
    ['name', { name: '' }],
    ['name', { name: 'Upper' }],
    ['name', { name: 'with:colon' }],
    ['name', { name: '@throttler' }],
    ['name', { name: 'x'.repeat(33) }],
    ['name', { name: undefined }],
    ['onUnavailable', { onUnavailable: 'maybe' }],
    ['dryRun', { dryRun: 'yes' }],
    ['broadcast', { broadcast: 1 }],
    ['block.base', { block: { base: 0 } }],
    ['block.base', { block: {} }],
    ['block.factor', { block: { ...steps, factor: 0.5 } }],
    ['block.factor', { block: { ...steps, factor: Number.NaN } }],
    ['block.max', { block: { ...steps, max: -1 } }],
    ['delay.resetAfter', { delay: { ...steps, resetAfter: '1 day' } }],
    ['block and delay', { block: steps, delay: steps }],
  ])('is refused with %s of %j', (option, wrong) => {
    const policy = { ...good, ...wrong } as LimitPolicy;
    expect(() => compilePolicy(policy)).toThrow(OptionsError);
    expect(() => compilePolicy(policy)).toThrow(expect.objectContaining({ option, code: 'INVALID_OPTION' }));
  });

  it.each<[Partial<LimitPolicy>, string, string]>([
    [{}, '10,60000', '10,60000,3'],
    [{ dryRun: true, broadcast: true }, '10,60000,1,sb', '10,60000,3,sb'],
    [
      { block: { base: '1s', factor: 1.5, max: '1m', resetAfter: '1h' } },
      '10,60000,1,k,1000,1.5,60000,3600000',
      '10,60000,3,k,1000,1.5,60000,3600000',
    ],
    [{ delay: steps }, '10,60000,1,d,1000,2,900000,86400000', '10,60000,3,d,1000,2,900000,86400000'],
  ])('with %j is short on the wire', (more, one, three) => {
    const policy = compilePolicy({ ...good, ...more });
    expect([wireOf(policy, 1), wireOf(policy, 3)]).toEqual([one, three]);
  });

  it('has a unique name', () => {
    expect(() => PolicyBook.of([good, good])).toThrow(/policies must be a list with each name once, got "good"/);
    expect(() => PolicyBook.of('good' as never)).toThrow(OptionsError);
    expect(() => PolicyBook.of([null as never])).toThrow(OptionsError);
  });

  it('that is invalid fails the boot', async () => {
    captureLog();
    await expect(replica({}, { policies: [{ ...good, limit: 0 }] })).rejects.toThrow(/limit must be an integer 1\.\./);
    await expect(replica({}, { replicas: 0 })).rejects.toThrow(/replicas must be/);
  });

  it('that overrides a declared one is used, and an invalid one changes nothing', () => {
    const book = PolicyBook.of([good]);
    book.override([{ ...good, limit: 5 }]);
    expect(book.get('good').limit).toBe(5);
    expect(() => book.get('none')).toThrow(/policy must be one of good, got "none"/);
    expect(() => book.override([{ ...good, limit: 0 }])).toThrow(OptionsError);
    expect(book.get('good').limit).toBe(5);
  });
});

describe('a hit', () => {
  it.each<[string, object]>([
    ['policy', { policy: 'none' }],
    ['policy', { policy: undefined }],
    ['key', { key: '' }],
    ['key', { key: 'x'.repeat(513) }],
    ['key', { key: '库'.repeat(171) }],
    ['key', { key: 'a\nb' }],
    ['key', { key: 'a\u0000b' }],
    ['key', { key: 'a\u007f' }],
    ['key', { key: undefined }],
    ['key', { key: 7 }],
    ['key', { key: {} }],
    ['cost', { cost: 0 }],
    ['cost', { cost: -1 }],
    ['cost', { cost: Number.NaN }],
    ['cost', { cost: 1.5 }],
    ['cost', { cost: 1_000_001 }],
    ['cost', { cost: '1' }],
  ])('is refused with %s of %j', async (option, wrong) => {
    captureLog();
    await using pod = await replica({}, { policies: [good] });
    const hit = { policy: 'good', key: 'k', ...wrong } as { policy: string; key: string };
    await expect(pod.limiter.consume([hit])).rejects.toMatchObject({ option, code: 'INVALID_OPTION' });
  });

  it('is one of 1 to 16 different ones, and a block has a valid duration', async () => {
    captureLog();
    await using pod = await replica({}, { policies: [good] });
    const hit = { policy: 'good', key: 'k' };
    for (const hits of [[], [hit, hit], Array.from({ length: 17 }, () => hit), hit as never, undefined as never])
      await expect(pod.limiter.consume(hits)).rejects.toMatchObject({ option: 'hits' });
    for (const time of [0, -1, Number.NaN, '5 minutes'])
      await expect(pod.limiter.block('good', 'k', time)).rejects.toMatchObject({ option: 'time' });
    await expect(pod.limiter.refund({} as never)).rejects.toMatchObject({ option: 'decision' });
  });

  it('may have any key: braces do not choose a slot, and different keys count apart', async () => {
    captureLog();
    await using pod = await replica({}, { policies: [{ ...good, limit: 1 }] });
    for (const key of ['{a}', 'a', '%7Ba%7D', '知识库', 'x'.repeat(512), `${'x'.repeat(511)}y`, 'a b', 'a:b'])
      expect((await pod.limiter.consume([{ policy: 'good', key }])).allowed).toBe(true);
  });
});
