import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { checkEnv, choiceVariable, durationVariable, integerVariable, resolveEnv, unknownVariables } from './env.js';

const readFile = (path: string) => {
  if (path === '/secrets/token') return 'from-file\n';
  if (path === '/secrets/empty') return '\n';
  throw new Error(`ENOENT: no such file ${path}`);
};
const rules = { secrets: ['TOKEN'], readFile };

describe('resolveEnv', () => {
  it('takes an empty variable as unset and reads a secret from its file', () => {
    expect(resolveEnv({ A: '', B: 'x', TOKEN_FILE: '/secrets/token' }, rules)).toEqual({
      env: { B: 'x', TOKEN: 'from-file', TOKEN_FILE: '/secrets/token' },
      problems: [],
    });
  });

  it.each([
    [{ TOKEN: 'a', TOKEN_FILE: '/secrets/token' }, /both set/],
    [{ TOKEN_FILE: '/secrets/empty' }, /empty file/],
    [{ TOKEN_FILE: '/nowhere' }, /cannot be read/],
  ])('reports %j', (source, message) => {
    expect(resolveEnv(source, rules).problems.join()).toMatch(message);
  });
});

describe('checkEnv', () => {
  const schema = z.object({
    PORT: integerVariable(1, 65_535).default(5050),
    WAIT: durationVariable().optional(),
    LEVEL: choiceVariable(['info', 'debug']).default('info'),
    TOKEN: z.string().min(8, 'must have 8 characters').optional(),
  });

  it('lists every problem at once and never shows a secret', () => {
    const { problems } = checkEnv(schema, { PORT: '6379abc', WAIT: 'soon', LEVEL: 'loud', TOKEN: 'short' }, ['TOKEN']);
    expect(problems).toHaveLength(4);
    expect(problems[0]).toBe('PORT must be a whole number 1..65535, got "6379abc"');
    expect(problems.join('\n')).not.toContain('short');
  });

  it.each(['0', '65536', '-1', '1.5', ' 1'])('refuses the port %j', (PORT) => {
    expect(checkEnv(schema, { PORT }, []).problems).toHaveLength(1);
  });

  it('reads durations with and without a unit', () => {
    expect(checkEnv(schema, { WAIT: '30s' }, []).values).toMatchObject({ PORT: 5050, WAIT: 30_000 });
    expect(checkEnv(schema, { WAIT: '250' }, []).values).toMatchObject({ WAIT: 250 });
  });
});

describe('unknownVariables', () => {
  it('names the nearest known variable', () => {
    expect(
      unknownVariables({ YUXI_REDIS_PASWORD: 'x', YUXI_DATA_DIR: 'y', PATH: 'z' }, 'YUXI_', [
        'REDIS_PASSWORD',
        'YUXI_DATA_DIR',
      ]),
    ).toEqual(['YUXI_REDIS_PASWORD is set, but this program has no such variable: did you mean REDIS_PASSWORD?']);
  });
});
