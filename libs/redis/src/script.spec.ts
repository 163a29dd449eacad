import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { captureLog, open } from '../../../test/support/redis.fixture.js';
import { defineScript } from './script.js';

const SOURCE = `-- Joins.
-- KEYS: 1 any key
-- ARGV: 1 a text
-- Returns: the key and the text
return {KEYS[1], ARGV[1]}
`;

describe('defineScript', () => {
  const folder = mkdtempSync(join(tmpdir(), 'yuxi-script-'));
  let server: RedisServer;
  captureLog();

  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await server.stop();
  });

  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return pathToFileURL(join(folder, name));
  };

  it('runs by hash, and by text when the server does not have it', async () => {
    const script = defineScript('join', file('join.lua', SOURCE), 1);
    await using redis = open({ url: server.url });
    await eventually(() => redis.availability.state === 'up');
    for (let round = 0; round < 2; round++) {
      expect(await script.run(redis.client, ['yuxi:k'], ["') redis.call('FLUSHALL')"])).toEqual([
        'yuxi:k',
        "') redis.call('FLUSHALL')",
      ]);
      await redis.client.script('FLUSH');
    }
    expect(await redis.client.info('commandstats')).toMatch(/cmdstat_evalsha:calls=2/);
  });

  it('joins what several scripts share with the script itself', async () => {
    const shared = file('shared.lua', 'local function twice(text) return text .. text end');
    const header = SOURCE.split('\n').slice(0, 4).join('\n');
    const own = file('own.lua', `${header}\nreturn twice(ARGV[1])`);
    await using redis = open({ url: server.url });
    await eventually(() => redis.availability.state === 'up');
    expect(await defineScript('own', [shared, own], 1).run(redis.client, ['yuxi:k'], ['ab'])).toBe('abab');
    expect(() => defineScript('own', [own, shared], 1)).toThrow(/KEYS, ARGV, Returns/);
  });

  it('checks the number of keys and the header', async () => {
    const script = defineScript('join', file('join.lua', SOURCE), 1);
    await using redis = open({ url: server.url });
    await expect(script.run(redis.client, ['a', 'b'])).rejects.toThrow(
      /keys must be 1 key\(s\), got 2 \(script join\)/,
    );
    expect(() => defineScript('bare', file('bare.lua', 'return ARGV[1]'), 0)).toThrow(/KEYS, ARGV, Returns/);
    expect(() => defineScript('gone', pathToFileURL(join(folder, 'gone.lua')), 0)).toThrow(/cannot be read/);
  });
});
