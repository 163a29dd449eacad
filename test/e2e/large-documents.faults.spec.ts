import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { api, FIRST_ADMINISTRATOR, firstRun, runSeed, startRedis, startReplicas } from '@yuxi/testing';
import { createKnowledgeBase } from '../support/fleet.js';
import { DOCUMENT_KINDS, type DocumentKind } from '../support/documents/kinds.js';
import { type Ending, indexLarge, uploadLarge } from '../support/documents/upload-and-index.js';
import { printFigures, type Row } from '../support/documents/figures.js';
import { type Setup, type Watched, WatchedSystem } from '../support/documents/watched-system.js';
import { FULL, size } from '../support/size.js';

const SEED = runSeed();
const MINUTE = 60_000;
const BYTES = size(1, 5) * 1_000_000;
/** Kinds of the small size: text, characters without spaces, a table, and a refused document. */
const SMALL = ['English', 'random Han', 'table of 100,000 rows', 'deep HTML'];
const KINDS = DOCUMENT_KINDS.filter(({ name }) => size(SMALL.includes(name), true));
const SETUPS = size<Setup[]>(['embedded'], ['embedded', 'three replicas']);
/** Time limit of the test for each document; the bar of the table is shorter. */
const ENDS_WITHIN = 5 * MINUTE;
/** Limit for a slow machine. */
const LIVE_WITHIN = 10_000;

/** Bars of the table, intended for the full size. */
const BARS = { seconds: 120, block: 200, liveP99: 100, searchTimes: 5 };

describe.each(SETUPS)('large documents of every kind, %s', (setup) => {
  let system: WatchedSystem;
  let dbId = '';
  const rows: Row[] = [];

  beforeAll(async () => {
    system = await WatchedSystem.start(setup);
    dbId = await createKnowledgeBase(api(system.baseUrls[0]!), system.token, 'large');
  }, 3 * MINUTE);
  afterAll(async () => {
    printFigures(`${BYTES / 1e6} MB documents, ${setup}, seed ${SEED}; times in ms unless they say otherwise`, rows);
    await system?.stop();
  }, MINUTE);

  async function send(kind: DocumentKind, index: number): Promise<Ending & { seconds: number }> {
    const content = Buffer.from(kind.make(BYTES, SEED));
    const target = { baseUrl: system.baseUrls[index % system.baseUrls.length]!, token: system.token, dbId };
    const from = performance.now();
    const sent = await uploadLarge(target, `${kind.name.replaceAll(/\W+/g, '-')}.${kind.ending}`, content);
    const ending = 'fileId' in sent ? (await indexLarge(target, [sent.fileId], ENDS_WITHIN))[0]! : sent;
    return { ...ending, seconds: (performance.now() - from) / 1000 };
  }

  it.each(KINDS)(
    '$name: the document is indexed or fails with a reason within 5 min, and the server answers each liveness probe within 10 s',
    async (kind) => {
      const { result, ...watched } = await system.during(() => send(kind, KINDS.indexOf(kind)));
      rows.push(rowOf(kind.name, result, watched, system.idle));
      if (result.status !== 'indexed') {
        expect(result).toMatchObject({ status: expect.stringMatching(/^(error_|4\d\d)/), error: expect.any(String) });
        expect(result.error).not.toBe('');
      }
      expect(watched.failures.filter((failure) => failure.startsWith('live'))).toEqual([]);
      expect(watched.liveLongest).toBeLessThan(LIVE_WITHIN);
    },
    ENDS_WITHIN + 2 * MINUTE,
  );
});

if (FULL)
  it(
    'the embedded database with Redis: 20 starts are counted whose first Redis commands are answered',
    async () => {
      const redis = await startRedis();
      const rows: Row[] = [];
      try {
        for (let start = 1; start <= 20; start++) {
          const [replica] = await startReplicas({ count: 1, redisUrl: redis.url });
          try {
            // Creating the database blocks the event loop, and a login needs counters in Redis.
            await firstRun(replica!.baseUrl);
            const form = { username: FIRST_ADMINISTRATOR.user_id, password: FIRST_ADMINISTRATOR.password };
            const { status } = await api(replica!.baseUrl).post('/api/auth/token', { form });
            const missed = replica!.logs.filter((line) =>
              /Redis unavailable|without Redis|REDIS_UNAVAILABLE/.test(line),
            );
            rows.push({ start, login: status, 'lines about an unavailable Redis': missed.length });
          } finally {
            await replica!.stop();
          }
        }
      } finally {
        await redis.stop();
        const answered = rows.filter((row) => row['lines about an unavailable Redis'] === 0 && row['login'] === 200);
        printFigures(`Redis answered the first commands of ${answered.length} of ${rows.length} starts`, rows);
      }
      expect(rows).toHaveLength(20);
    },
    20 * MINUTE,
  );

function rowOf(
  kind: string,
  { status, error, chunks, seconds }: Ending & { seconds: number },
  seen: Watched,
  idle: Watched,
): Row {
  const times = seen.searchP99 / idle.searchP99;
  const missed = [
    seconds > BARS.seconds && 'time',
    seen.block > BARS.block && 'block',
    seen.liveP99 > BARS.liveP99 && 'live',
    (times > BARS.searchTimes || seen.failures.length > 0) && 'search',
  ].filter(Boolean);
  return {
    kind,
    ended: status === 'indexed' ? `indexed, ${chunks} chunks` : `${status}: ${error}`,
    seconds,
    'longest block': seen.block,
    'of it without a processor': seen.blockWaited,
    'live p99': seen.liveP99,
    'live longest': seen.liveLongest,
    'search p99': seen.searchP99,
    'searches refused': seen.failures.filter((failure) => failure.startsWith('search')).length,
    'search p99 idle': idle.searchP99,
    times,
    'bars missed': missed.length === 0 ? 'none' : missed.join(', '),
  };
}
