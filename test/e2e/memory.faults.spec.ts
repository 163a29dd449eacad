import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { reportSkip, runSeed } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { printFigures, type Row } from '../support/documents/figures.js';
import { DOCUMENT_KINDS } from '../support/documents/kinds.js';
import { MemoryLimit, mostResident } from '../support/documents/memory-limit.js';
import { indexLarge, uploadLarge } from '../support/documents/upload-and-index.js';
import { size } from '../support/size.js';

const SEED = runSeed();
const MINUTE = 60_000;
const FILES = size(2, 6);
const BYTES = size(8, 48) * 1_000_000;
/** Bytes of text that a file repeats, because making all of it would take minutes. */
const PAGE = 1_000_000;
/** MiB of each replica, as in k8s/api.yaml, without the servers. */
const LIMIT = 768;
const INDEXED_WITHIN = size(10, 60) * MINUTE;

const ONE = { name: 'one replica', count: 1 };
const SETUPS = size([ONE], [ONE, { name: 'three replicas', count: 3 }]);
const NONE = 'no cgroup with a limit of memory can be made here';
const usable = MemoryLimit.make('probe', LIMIT);
usable?.remove();

describe('replicas with 768 MiB of memory', () => {
  let limits: MemoryLimit[] = [];
  let stop: (() => Promise<void>) | undefined;

  afterEach(async () => {
    await stop?.();
    for (const limit of limits) limit.remove();
    [limits, stop] = [[], undefined];
  }, MINUTE);

  async function start(count: number): Promise<Fleet> {
    limits = Array.from({ length: count }, (_, i) => MemoryLimit.make(`${i}`, LIMIT)!);
    const fleet = await startFleet({ replicas: count, env: (index) => limits[index]!.env });
    stop = () => fleet.stop();
    return fleet;
  }

  const kills = () => limits.reduce((sum, limit) => sum + limit.kills, 0);

  it.each(SETUPS)(
    `$name: ${FILES} files of ${BYTES / 1e6} MB that are uploaded at the same time are all indexed, and no process is killed because of its memory`,
    async ({ count }) => {
      if (!usable) return reportSkip('memory in a cgroup', NONE);
      const { replicas, apis, token } = await start(count);
      const dbId = await createKnowledgeBase(apis[0]!, token, 'large');
      const contents: Buffer[] = [];
      for (let i = 0; i < FILES; i++) {
        const page = Buffer.from(DOCUMENT_KINDS[0]!.make(PAGE, SEED + i));
        contents.push(Buffer.concat(Array.from({ length: BYTES / PAGE }, () => page)));
        await setImmediate();
      }

      const from = performance.now();
      const figures = (phase: string): Row[] =>
        replicas.map(({ pid }, i) => ({
          replica: `${i + 1} of ${count}`,
          phase,
          'after s': (performance.now() - from) / 1000,
          'peak MiB with cache': limits[i]!.peak,
          'most resident MiB': limits[i]!.processes.includes(pid) ? mostResident(pid) : 'has ended',
          'killed for memory': limits[i]!.kills,
        }));
      const rows: Row[] = [];
      try {
        const sent = await Promise.all(
          contents.map((content, i) =>
            uploadLarge({ baseUrl: replicas[i % count]!.baseUrl, token, dbId }, `${i}.txt`, content),
          ),
        );
        rows.push(...figures('uploaded'));
        const fileIds = sent.flatMap((each) => ('fileId' in each ? [each.fileId] : []));
        expect(sent).toEqual(fileIds.map((fileId) => ({ fileId })));
        const killed = () => (kills() > 0 ? 'a process was killed because of its memory' : undefined);
        const endings = await indexLarge(
          { baseUrl: replicas[0]!.baseUrl, token, dbId },
          fileIds,
          INDEXED_WITHIN,
          killed,
        );
        expect(endings.map(({ status, error }) => ({ status, error }))).toEqual(
          fileIds.map(() => ({ status: 'indexed', error: null })),
        );
        expect(kills()).toBe(0);
      } finally {
        rows.push(...figures('at the end'));
        printFigures(`${FILES} files of ${BYTES / 1e6} MB at once in ${LIMIT} MiB, seed ${SEED}`, rows);
      }
    },
    INDEXED_WITHIN + 15 * MINUTE,
  );

  it('control: a process that uses more than its limit is killed and counted', async () => {
    if (!usable) return reportSkip('memory in a cgroup', NONE);
    const limit = MemoryLimit.make('control', 64)!;
    limits = [limit];
    const env = { PATH: process.env['PATH'], ...limit.env };
    const greedy = spawn(process.execPath, ['-e', 'Buffer.alloc(256 * 1024 * 1024, 1)'], { env, stdio: 'ignore' });
    expect(await once(greedy, 'exit')).toEqual([null, 'SIGKILL']);
    expect(limit.kills).toBe(1);
    expect(limit.peak).toBeGreaterThan(32);
  });
});
