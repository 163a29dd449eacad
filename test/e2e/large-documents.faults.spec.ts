import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ApiClient, eventually, form, runSeed } from '@yuxi/testing';
import { createKnowledgeBase } from '../support/fleet.js';
import { DOCUMENT_KINDS, type DocumentKind } from '../support/documents/kinds.js';
import { printFigures, type Row } from '../support/documents/figures.js';
import { type Setup, type Watched, WatchedSystem } from '../support/documents/watched-system.js';
import { requestIndex } from '../support/knowledge/made-files.js';
import { size } from '../support/size.js';

const SEED = runSeed();
const MINUTE = 60_000;
const BYTES = size(1, 5) * 1_000_000;
/** The kinds of the small size: text, characters without spaces, a table, and one that is refused. */
const SMALL = ['English', 'random Han', 'table of 100,000 rows', 'deep HTML'];
const KINDS = DOCUMENT_KINDS.filter(({ name }) => size(SMALL.includes(name), true));
const SETUPS = size<Setup[]>(['embedded'], ['embedded', 'three replicas']);
/** Within this time each document has ended; the bar of the table is shorter. */
const ENDS_WITHIN = 5 * MINUTE;
/** However slow the machine is. */
const LIVE_WITHIN = 10_000;

/** What the table calls passed. Only the full size is made to be read. */
const BARS = { seconds: 120, block: 200, liveP99: 100, searchTimes: 5 };

interface Ending {
  status: string;
  error: string | null;
  chunks: number;
  seconds: number;
}

describe.each(SETUPS)('large documents of every kind, %s', (setup) => {
  let system: WatchedSystem;
  let dbId = '';
  const rows: Row[] = [];

  beforeAll(async () => {
    system = await WatchedSystem.start(setup);
    dbId = await createKnowledgeBase(system.apis[0]!, system.token, 'large');
  }, 3 * MINUTE);
  afterAll(async () => {
    printFigures(`${BYTES / 1e6} MB documents, ${setup}, seed ${SEED}; times in ms unless they say otherwise`, rows);
    await system?.stop();
  }, MINUTE);

  async function process({ name, ending, make }: DocumentKind): Promise<Ending> {
    const client = system.apis[KINDS.findIndex((kind) => kind.name === name) % system.apis.length]!;
    const content = make(BYTES, SEED);
    const from = performance.now();
    const { status, body } = await client.post<{ file_id: string; detail?: string }>(
      `/api/knowledge/files/upload?db_id=${dbId}`,
      { multipart: form(`${name.replaceAll(/\W+/g, '-')}.${ending}`, content), token: system.token, timeout: MINUTE },
    );
    const seconds = () => (performance.now() - from) / 1000;
    if (status >= 300) return { status: `${status}`, error: body.detail ?? null, chunks: 0, seconds: seconds() };
    await requestIndex(client, system.token, dbId, [body.file_id]);
    const ended = await endOf(client, system.token, dbId, body.file_id);
    return { ...ended, seconds: seconds() };
  }

  it.each(KINDS)(
    '$name: is indexed or has failed with its reason within 5 min, and the server says within 10 s that it lives, all the time',
    async (kind) => {
      const { result, ...watched } = await system.during(() => process(kind));
      rows.push(rowOf(kind.name, result, watched, system.idle));
      if (result.status !== 'indexed') {
        expect(result).toMatchObject({ status: expect.stringMatching(/^(error_|4\d\d)/), error: expect.any(String) });
        expect(result.error).not.toBe('');
      }
      expect(watched.failures).toEqual([]);
      expect(watched.liveLongest).toBeLessThan(LIVE_WITHIN);
    },
    ENDS_WITHIN + 2 * MINUTE,
  );
});

function endOf(client: ApiClient, token: string, dbId: string, fileId: string) {
  return eventually(
    async () => {
      const { status, body } = await client.get<{
        meta: { status: string; error: string | null; chunk_count: number };
      }>(`/api/knowledge/databases/${dbId}/documents/${fileId}/basic`, { token, timeout: MINUTE });
      if (status !== 200) throw new Error(`the document answered ${status}`);
      const { status: state, error, chunk_count: chunks } = body.meta;
      if (state !== 'indexed' && !state.startsWith('error_')) throw new Error(`it is ${state}`);
      return { status: state, error, chunks };
    },
    { timeout: ENDS_WITHIN, every: 100, describe: 'the document to be indexed or to have failed' },
  );
}

function rowOf(kind: string, { status, error, chunks, seconds }: Ending, seen: Watched, idle: Watched): Row {
  const times = seen.searchP99 / idle.searchP99;
  const missed = [
    seconds > BARS.seconds && 'time',
    seen.block > BARS.block && 'block',
    seen.liveP99 > BARS.liveP99 && 'live',
    times > BARS.searchTimes && 'search',
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
    'search p99 idle': idle.searchP99,
    times,
    'bars missed': missed.length === 0 ? 'none' : missed.join(', '),
  };
}
