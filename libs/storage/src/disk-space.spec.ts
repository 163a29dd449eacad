import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { temporaryFolder } from '@yuxi/testing';
import { DiskSpace, ReportedSpace } from './disk-space.js';
import { StorageFullError } from './storage.errors.js';

const MB = 1024 * 1024;

describe('the space of a disk', () => {
  let space: DiskSpace | undefined;
  beforeEach(() => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  });
  afterEach(() => {
    space?.close();
    jest.restoreAllMocks();
  });

  it('can be reserved until minFree is reached; content that is being stored counts twice', async () => {
    const folder = temporaryFolder('space');
    const probe = new DiskSpace(folder, 48 * MB);
    const free = await probe.check();
    probe.close();
    space = new DiskSpace(folder, 48 * MB);
    expect(space.full).toBe(false);
    // Other processes write to this disk meanwhile: at most a hundredth of it.
    const stored = await space.reserve(free * 0.45);
    await expect(space.reserve(free * 0.1)).rejects.toThrow(StorageFullError);
    (await space.reserve())();
    stored();
    stored();
    (await space.reserve(free * 0.1))();
    await expect(space.reserve(free)).rejects.toMatchObject({ code: 'STORAGE_FULL', retryable: true });
  });

  it('cannot be reserved when less than minFree is free', async () => {
    space = new DiskSpace(temporaryFolder('space'), Number.MAX_SAFE_INTEGER);
    await expect(space.reserve()).rejects.toThrow(/MB are free and \d+ MB are kept in reserve\. Delete files/);
    expect(space.full).toBe(true);
  });

  it.each([0, MB, 48.5 * MB + 0.5, Number.NaN])('refuses a minFree of %d bytes', (minFree) => {
    expect(() => new DiskSpace('/', minFree)).toThrow(/minFree must be an integer from 50331648/);
  });

  it('of a server counts as full for a while after the server had no room', async () => {
    const reported = new ReportedSpace(60_000);
    expect(reported.full).toBe(false);
    reported.report();
    expect(reported.full).toBe(true);
    (await reported.reserve())();
    const past = new ReportedSpace(0);
    past.report();
    expect(past.full).toBe(false);
  });
});
