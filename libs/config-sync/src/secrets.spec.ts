import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { ConfigSchema } from './schema/config-schema.js';
import { readSecret, secretReference } from './secrets.js';

const none = () => undefined;

describe('a reference to a secret', () => {
  let folder: string;
  let schema: ConfigSchema;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'yuxi-secrets-'));
    const key = secretReference({ folder }).nullable().default(null);
    schema = new ConfigSchema({ model: z.strictObject({ key, name: z.string().default('small') }) });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    'hunter2',
    'env:JWT_SECRET',
    'env:secret_x',
    'env:SECRET_',
    'env:SECRET_X Y',
    'file:/etc/passwd',
    'file:relative',
    'https://hunter2',
    'env:',
    '',
    7,
  ])('is not %j', (value) => {
    const patch = { model: { key: value } };
    if (value === 'env:SECRET_') expect(schema.merge({}, schema.readPatch(patch))).toEqual(patch);
    else
      expect(() => schema.merge({}, schema.readPatch(patch))).toThrow(
        expect.objectContaining({ errors: [{ path: 'model.key', rule: expect.any(String), got: '***' }] }),
      );
  });

  it('cannot leave its folder by `..`', () => {
    const patch = { model: { key: `file:${folder}/../x` } };
    expect(() => schema.merge({}, patch)).toThrow(/model\.key/);
  });

  it('is shown as ***, and *** in a patch changes nothing', () => {
    const stored = schema.merge({}, schema.readPatch({ model: { key: 'env:SECRET_KEY', name: 'x' } }));
    expect(schema.secrets.mask(schema.resolve(stored))).toEqual({ model: { key: '***', name: 'x' } });
    expect(schema.secrets.mask(schema.resolve({}))).toEqual({ model: { key: null, name: 'small' } });
    const again = schema.merge(stored, schema.readPatch({ model: { key: '***', name: 'y' } }));
    expect(again).toEqual({ model: { key: 'env:SECRET_KEY', name: 'y' } });
    // Only for a secret it is the mask. Elsewhere it is a text.
    expect(schema.readPatch({ model: { name: '***' } })).toEqual({ model: { name: '***' } });
  });

  it('appears in differences without its place', () => {
    const [before, after] = ['env:SECRET_A', 'env:SECRET_B'].map((key) => schema.resolve({ model: { key } }));
    expect(schema.secrets.differences(before!, after!)).toEqual([{ path: 'model.key', from: '***', to: '***' }]);
    expect(schema.secrets.differences(schema.resolve({}), after!)).toEqual([
      { path: 'model.key', from: null, to: '***' },
    ]);
  });

  it('is read again at each call, from the environment or a file, without the line break at its end', async () => {
    expect(await readSecret('env:SECRET_X', (name) => ({ SECRET_X: 'hunter2' })[name])).toBe('hunter2');
    const path = join(folder, 'key');
    for (const [content, secret] of [
      ['one\n', 'one'],
      ['two\r\n', 'two'],
    ] as const) {
      writeFileSync(path, content);
      expect(await readSecret(`file:${path}`, none, { folder })).toBe(secret);
    }
  });

  it('to a missing secret is an error that names the reference', async () => {
    writeFileSync(join(folder, 'large'), 'x'.repeat(70_000));
    writeFileSync(join(folder, 'empty'), '\n');
    await expect(readSecret('env:SECRET_X', none)).rejects.toThrow(/env:SECRET_X cannot be used: it is not set/);
    await expect(readSecret(`file:${folder}/none`, none, { folder })).rejects.toMatchObject({ code: 'CONFIG_SECRET' });
    await expect(readSecret(`file:${folder}/large`, none, { folder })).rejects.toThrow(/larger than 65536 bytes/);
    await expect(readSecret(`file:${folder}/empty`, none, { folder })).rejects.toThrow(/not set or empty/);
    await expect(readSecret('hunter2', none)).rejects.toThrow(/^(?!.*hunter2)/);
  });

  it('is not followed to a place outside the allowed ones, even when it is stored in the settings', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'yuxi-secrets-'));
    try {
      writeFileSync(join(outside, 'jwt'), 'hunter2');
      symlinkSync(join(outside, 'jwt'), join(folder, 'link'));
      symlinkSync(outside, join(folder, 'linked'));
      for (const path of ['link', 'linked/jwt', `../${outside.split('/').at(-1)}/jwt`]) {
        const refused = readSecret(`file:${folder}/${path}`, none, { folder });
        await expect(refused).rejects.toThrow(`must be env:SECRET_NAME or file:${folder}/name`);
        await expect(refused).rejects.toThrow(/^(?!.*hunter2)/);
      }
      for (const reference of [`file:${outside}/jwt`, 'env:JWT_SECRET'])
        await expect(readSecret(reference, () => 'hunter2', { folder })).rejects.toThrow(/must be env:SECRET_NAME/);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it('may use links within its folder, as Kubernetes mounts secrets, and a folder that is itself a link', async () => {
    mkdirSync(join(folder, '..data'));
    writeFileSync(join(folder, '..data', 'mounted'), 'hunter3');
    symlinkSync('..data/mounted', join(folder, 'mounted'));
    expect(await readSecret(`file:${folder}/mounted`, none, { folder })).toBe('hunter3');
    const other = `${folder}-link`;
    symlinkSync(folder, other);
    expect(await readSecret(`file:${other}/mounted`, none, { folder: other })).toBe('hunter3');
    rmSync(other);
  });
});
