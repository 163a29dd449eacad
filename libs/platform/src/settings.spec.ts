import { describe, expect, it } from '@jest/globals';
import { sectionsFor, SETTINGS } from './settings.js';

const shapes = Object.values(SETTINGS).map(({ shape }) => Object.keys(shape));

describe('SETTINGS', () => {
  it('has a value for every setting', () => {
    for (const schema of Object.values(SETTINGS))
      expect(Object.keys(schema.parse({})).sort()).toEqual(Object.keys(schema.shape).sort());
  });

  it('has unique names over all sections, because the API shows settings without their section', () => {
    const keys = shapes.flat();
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('has the sections that the legacy API names', () => {
    expect(Object.keys(sectionsFor())).toEqual(expect.arrayContaining(['general', 'model', 'agent']));
  });

  it('holds no secret, address or command', () => {
    expect(shapes.flat().filter((key) => /secret|password|token|key$|url|host|path|command/i.test(key))).toEqual([]);
  });

  it.each([
    ['general', { chunk_size: 63 }],
    ['general', { chunk_size: 8193 }],
    ['general', { chunk_size: '512' }],
    ['general', { chunk_overlap: -1 }],
    ['general', { log_level: 'loud' }],
    ['general', { final_top_k: 5 }],
    ['agent', { default_agent_id: ' ' }],
    ['search', { final_top_k: 0 }],
    ['search', { final_top_k: 101 }],
    ['search', { final_top_k: 1.5 }],
  ] as const)('%s refuses %j', (section, values) => {
    expect(SETTINGS[section].safeParse(values).success).toBe(false);
  });
});
