import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { PART_BYTES as PART, Spool } from './spool.js';
import { SpoolSpace } from './spool-space.js';

const sha = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');

async function* pieces(content: Uint8Array, size = 64 * 1024) {
  for (let start = 0; start < content.length; start += size)
    yield await Promise.resolve(content.subarray(start, start + size));
}

const receive = (space: SpoolSpace, parts: number, owner?: string) =>
  Spool.from(pieces(Buffer.alloc(parts * PART)), { space, owner });

async function wholeOf(spool: Spool): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of spool.parts()) parts.push(part);
  return Buffer.concat(parts);
}

/** Number of temporary files that this process has open; 0 on systems without `/proc`. */
function openFiles(): number {
  if (!existsSync('/proc/self/fd')) return 0;
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('yuxi-spool-');
    } catch {
      return false;
    }
  }).length;
}

describe('a spool', () => {
  it.each([0, 1, PART, PART + 1, 3 * PART + 7])(
    'reads and hashes %d bytes, and returns them many times',
    async (size) => {
      const content = randomBytes(size);
      await using spool = await Spool.from(pieces(content));
      expect(spool).toMatchObject({ size, hash: sha(content) });
      for (let time = 0; time < 2; time++) expect((await wholeOf(spool)).equals(content)).toBe(true);
      for await (const part of spool.parts()) expect(part.length).toBeLessThanOrEqual(PART);
    },
  );

  it('refuses a content that is larger than the limit', async () => {
    const refused = Spool.from(pieces(Buffer.alloc(3 * PART)), { limit: 2 * PART });
    await expect(refused).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', limit: 2 * PART });
    await using fits = await Spool.from(Buffer.alloc(2 * PART), { limit: 2 * PART });
    expect(fits.size).toBe(2 * PART);
  });

  it('keeps nothing of a stream that fails, of one that is too long, and after it was closed', async () => {
    const space = new SpoolSpace();
    async function* breaking() {
      yield* pieces(Buffer.alloc(3 * PART));
      throw new Error('sender disconnected');
    }
    await expect(Spool.from(breaking(), { space })).rejects.toThrow('sender disconnected');
    await expect(Spool.from(pieces(Buffer.alloc(5 * PART)), { space, limit: 4 * PART })).rejects.toThrow('larger than');
    expect({ used: space.used, files: openFiles() }).toEqual({ used: 0, files: 0 });
    const spool = await Spool.from(pieces(Buffer.alloc(3 * PART)), { space });
    expect(space.used).toBe(3 * PART);
    await spool[Symbol.asyncDispose]();
    await spool[Symbol.asyncDispose]();
    expect({ used: space.used, files: openFiles() }).toEqual({ used: 0, files: 0 });
  });

  it('closes a spool that it created when the work ends, and leaves a given spool open', async () => {
    const space = new SpoolSpace();
    await using given = await Spool.from(Buffer.alloc(2 * PART), { space });
    expect(await Spool.use(given, {}, (spool) => Promise.resolve(spool === given))).toBe(true);
    expect((await wholeOf(given)).length).toBe(2 * PART);
    const failing = Spool.use(Buffer.alloc(2 * PART), { space }, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(space.used).toBe(2 * PART);
    await expect(Spool.use(given, { limit: PART }, () => Promise.resolve())).rejects.toThrow('larger than');
  });
});

describe('a spool space', () => {
  it('refuses what does not fit, keeps room for other owners, and has room again after a spool was closed', async () => {
    const space = new SpoolSpace({ total: 10 * PART, perOwner: 6 * PART });
    await using first = await receive(space, 5, 'a');
    await expect(receive(space, 2, 'a')).rejects.toMatchObject({ code: 'OVERLOADED', retryable: true });
    await using second = await receive(space, 4, 'b');
    await expect(receive(space, 2, 'b')).rejects.toMatchObject({ code: 'OVERLOADED' });
    await using small = await receive(space, 1, 'a');
    expect([first.size, second.size, small.size]).toEqual([5 * PART, 4 * PART, PART]);
    expect(space.used).toBe(9 * PART);
    await first[Symbol.asyncDispose]();
    await using third = await receive(space, 6, 'a');
    expect(third.size).toBe(6 * PART);
    expect(space.used).toBe(10 * PART);
  });

  it('writes small contents to files when many of them are in memory', async () => {
    const space = new SpoolSpace({ memory: 2 * PART });
    const spools = await Promise.all(Array.from({ length: 5 }, () => receive(space, 1)));
    expect(space.used).toBeGreaterThanOrEqual(PART);
    await Promise.all(spools.map((spool) => spool[Symbol.asyncDispose]()));
    expect(space.used).toBe(0);
  });

  it('refuses sizes that are not numbers of bytes', () => {
    expect(() => new SpoolSpace({ total: Number.NaN })).toThrow('total must be a number of bytes');
    expect(() => new SpoolSpace({ memory: -1 })).toThrow('memory must be a number of bytes');
  });
});
