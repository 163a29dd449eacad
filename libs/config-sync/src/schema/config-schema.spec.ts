import { describe, expect, it } from '@jest/globals';
import { OptionsError } from '@yuxi/core';
import { z } from 'zod';
import { sections } from '../../../../test/support/config/start-replica.js';
import { ConfigValidationError } from '../config-sync.errors.js';
import { ConfigSchema } from './config-schema.js';
import type { JsonObject } from './json.js';

const schema = new ConfigSchema(sections);

function update(patch: unknown, stored: JsonObject = {}): JsonObject {
  return schema.merge(stored, schema.readPatch(patch));
}

function refusal(patch: unknown): ConfigValidationError {
  try {
    update(patch);
  } catch (error) {
    if (error instanceof ConfigValidationError) return error;
    throw error;
  }
  throw new Error(`accepted ${JSON.stringify(patch)}`);
}

describe('a patch that is not valid', () => {
  it.each([
    [{ general: { chunk_size: '512' } }, 'general.chunk_size', 'must be of type number', '"512"'],
    [{ general: { chunk_size: 12.5 } }, 'general.chunk_size', 'must be of type int', '12.5'],
    [{ general: { chunk_size: 63 } }, 'general.chunk_size', 'must be at least 64', '63'],
    [{ general: { chunk_size: 8193 } }, 'general.chunk_size', 'must be at most 8192', '8193'],
    [{ general: { chunk_size: Number.NaN } }, 'general.chunk_size', 'must be a JSON value', 'NaN'],
    [{ general: { title: 'x'.repeat(21) } }, 'general.title', 'must be at most 20 characters', `"${'x'.repeat(21)}"`],
    [{ general: { title: 'a\0b' } }, 'general.title', 'must be a JSON value', String.raw`"a\u0000b"`],
    [{ general: { title: '\ud800' } }, 'general.title', 'must be a JSON value', String.raw`"\ud800"`],
    [{ general: { languages: ['en', 7] } }, 'general.languages.1', 'must be of type string', '7'],
    [{ general: { chunksize: 512 } }, 'general.chunksize', 'must be a known key', '"chunksize"'],
    [{ general: { 'a.b': 1 } }, 'general.a.b', 'must be a known key', '"a.b"'],
    [{ general: { toString: 1 } }, 'general.toString', 'must be a known key', '"toString"'],
    [{ general: [] }, 'general', 'must be an object', 'an array'],
    [{ generic: {} }, 'generic', 'must be one of general, model', '"generic"'],
    [{ model: { name: 'huge' } }, 'model.name', 'must be one of "small", "large"', '"huge"'],
    [{ model: { extra: { a: 'b' } } }, 'model.extra.a', 'must be of type number', '"b"'],
    [{ model: { name: new Date(0) } }, 'model.name', 'must be a JSON value', 'an object'],
    [[], '', 'must be an object of sections', 'an array'],
    ['general', '', 'must be an object of sections', '"general"'],
  ])('%j is refused naming path, rule and value', (patch, path, rule, got) => {
    const { errors, code } = refusal(patch);
    expect({ errors, code }).toEqual({ errors: [{ path, rule, got }], code: 'CONFIG_INVALID' });
  });

  it.each([
    '{"__proto__":{"x":1}}',
    '{"general":{"__proto__":{"x":1}}}',
    '{"general":{"constructor":{"prototype":{"x":1}}}}',
    '{"constructor.prototype.x":1}',
    '{"a.__proto__.b":1}',
    '{"model":{"extra":{"__proto__":1}}}',
    '{"general":{"languages":[{"__proto__":1}]}}',
  ])('%s cannot reach a prototype', (text) => {
    expect(refusal(JSON.parse(text)).code).toBe('CONFIG_KEY_REFUSED');
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('is refused as a whole, with all problems at once', () => {
    const { errors } = refusal({ general: { chunk_size: 1, title: 5 }, model: { nome: 'small' } });
    expect(errors.map(({ path }) => path).sort()).toEqual(['general.chunk_size', 'general.title', 'model.nome']);
  });

  it('cannot be nested too deeply', () => {
    const deep = JSON.parse(`${'{"a":'.repeat(500)}1${'}'.repeat(500)}`) as unknown;
    expect(refusal({ model: deep }).errors[0]?.rule).toBe('must be a JSON value');
  });
});

describe('a patch that is valid', () => {
  it('leaves other keys unchanged, and null returns to the default', () => {
    const stored = update({ general: { chunk_size: 512, title: 'A' } });
    const next = update({ general: { title: null }, model: { extra: { a: 1 } } }, stored);
    expect(next).toEqual({ general: { chunk_size: 512 }, model: { extra: { a: 1 } } });
    expect(schema.resolve(next)['general']).toEqual({ chunk_size: 512, title: 'Yuxi', languages: ['en'] });
    expect(update({ model: null }, next)).toEqual({ general: { chunk_size: 512 } });
  });

  it('keeps the keys that a newer build stored', () => {
    const stored = { general: { from_the_future: 1, chunk_size: 512 }, tomorrow: { a: 1 } };
    expect(update({ general: { title: 'A' } }, stored)).toEqual({
      general: { from_the_future: 1, chunk_size: 512, title: 'A' },
      tomorrow: { a: 1 },
    });
    expect(schema.resolve(stored)['general']).toEqual({ chunk_size: 512, title: 'Yuxi', languages: ['en'] });
  });

  it('gives values that cannot be changed', () => {
    const values = schema.resolve({}) as unknown as { general: { chunk_size: number; languages: string[] } };
    expect(() => (values.general.chunk_size = 1)).toThrow(TypeError);
    expect(() => values.general.languages.push('de')).toThrow(TypeError);
  });
});

describe('stored values that this build refuses', () => {
  const stored = { general: { chunk_size: 1, title: 'A' }, model: { name: 'large' } };

  it('are an error', () => {
    expect(() => schema.resolve(stored)).toThrow(/general\.chunk_size must be at least 64, got 1/);
  });

  it('take their defaults at a start without another configuration; the other values stay', () => {
    expect(schema.resolveValidPart(stored)).toMatchObject({
      general: { chunk_size: 1024, title: 'A' },
      model: { name: 'large' },
    });
  });
});

it('a section without defaults is refused when the module is built', () => {
  expect(() => new ConfigSchema({ general: z.object({ a: z.string() }) })).toThrow(OptionsError);
  expect(() => new ConfigSchema({ general: z.object({ a: z.string() }) })).toThrow(/general\.a/);
});

const versionOf = (limit: number, text: string) =>
  new ConfigSchema({ general: z.object({ limit: z.number().max(limit).default(1).describe(text) }) }).version;

it('the version of a schema follows the accepted values, not the descriptions', () => {
  expect(versionOf(10, 'first text')).toBe(versionOf(10, 'second text'));
  expect(versionOf(10, 'first text')).not.toBe(versionOf(20, 'first text'));
});
