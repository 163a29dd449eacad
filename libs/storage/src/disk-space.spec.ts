import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { temporaryFolder } from '@yuxi/testing';
import { DiskSpace, ReportedSpace } from './disk-space.js';
import { StorageFullError } from './storage.errors.js';

const MB = 1024 * 1024;

describe('the room of a disk', () => {
  let space: DiskSpace | undefined;
  beforeEach(() => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  });
  afterEach(() => {
    space?.close();
    jest.restoreAllMocks();
  });

  it('is given until the reserve is reached, with what is being stored counted twice', async () => {
    const folder = temporaryFolder('space');
    const probe = new DiskSpace(folder, 48 * MB);
    const free = await probe.look();
    probe.close();
    space = new DiskSpace(folder, 48 * MB);
    expect(space.full).toBe(false);
    // Others write to this disk meanwhile: by a hundredth at most.
    const stored = await space.take(free * 0.45);
    await expect(space.take(free * 0.1)).rejects.toThrow(StorageFullError);
    (await space.take())();
    stored();
    stored();
    (await space.take(free * 0.1))();
    await expect(space.take(free)).rejects.toMatchObject({ code: 'STORAGE_FULL', retryable: true });
  });

  it('is none where the reserve is more than there is', async () => {
    space = new DiskSpace(temporaryFolder('space'), Number.MAX_SAFE_INTEGER);
    await expect(space.take()).rejects.toThrow(/MB are free and \d+ MB are kept in reserve\. Make room/);
    expect(space.full).toBe(true);
  });

  it.each([0, MB, 48.5 * MB + 0.5, Number.NaN])('has no reserve of %d bytes', (minFree) => {
    expect(() => new DiskSpace('/', minFree)).toThrow(/minFree must be a whole number of bytes/);
  });

  it('of a server is what that says, for a while', async () => {
    const reported = new ReportedSpace(60_000);
    expect(reported.full).toBe(false);
    reported.report();
    expect(reported.full).toBe(true);
    (await reported.take())();
    const past = new ReportedSpace(0);
    past.report();
    expect(past.full).toBe(false);
  });
});
