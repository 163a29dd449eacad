import { describe, expect, it } from '@jest/globals';
import { readHint, writeHint } from './config-follower.js';

describe('a change notice', () => {
  it('has the format that replicas of every language share, and no values', () => {
    const timestamp = '2026-01-02T03:04:05.678Z';
    expect(JSON.parse(writeHint({ type: 'model', timestamp, revision: 7, hash: 'ab' }))).toEqual({
      event: 'config_changed',
      type: 'model',
      timestamp,
      revision: 7,
      hash: 'ab',
    });
  });

  it('is accepted without a revision', () => {
    const text = '{"event":"config_changed","type":"agent","timestamp":"2026-01-02T03:04:05.678901"}';
    expect(readHint(text)).toEqual({ type: 'agent', timestamp: '2026-01-02T03:04:05.678901' });
  });

  it.each([
    '',
    'x',
    'null',
    '7',
    '[]',
    '{}',
    '{"event":"config_changed"}',
    '{"event":"config_changed","type":7}',
    '{"event":"config_changed","type":""}',
    '{"event":"other","type":"general"}',
    `{"event":"config_changed","type":"${'x'.repeat(5000)}"}`,
    '{"event":"config_changed","type":"general"',
  ])('%s is not one', (text) => {
    expect(readHint(text)).toBeUndefined();
  });

  it.each(['1152921504606846976', '-0.5', '"9"', 'null', '[]'])('ignores the revision %s', (revision) => {
    expect(readHint(`{"event":"config_changed","type":"general","revision":${revision}}`)).toEqual({
      type: 'general',
      timestamp: '',
    });
  });
});
