import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type Replica, reportSkip, slowHttpTestBinary, startSlowHttpTest } from '@yuxi/testing';
import { Load } from '../support/api/load.js';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { size } from '../support/size.js';

const MINUTES = 60_000;
const CONNECTIONS = size(200, 1000);
/** Other than those of the attack: of the clients in this test, of Redis and of PostgreSQL. */
const OWN = 40;
/** Nobody else waits longer, on a machine that is busy too. */
const WITHIN_MS = 5000;

/** A body that is allowed without a token: a longer one is refused before it is read. */
const FORM = ['-f', 'application/x-www-form-urlencoded', '-s', '16000', '-x', '8'];
const SMALL_WINDOW = ['-w', '1', '-y', '64', '-n', '1', '-z', '5'];

/** What docs/deployment.md says, with the 5 s between two looks of Node and some for a busy machine, seconds. */
const CUT = { heads: 10 + 5 + 10, bodies: 30 + 10, answers: 65 + 5 + 20 };

async function sockets(replica: Replica): Promise<number> {
  const metric = /^nodejs_active_resources\{type="TCPSocketWrap"[^}]*\} (\d+)$/m;
  return Number(metric.exec(await replica.metrics())?.[1] ?? Number.NaN);
}

async function answers5xx(replica: Replica): Promise<string[]> {
  const lines = (await replica.metrics()).split('\n');
  return lines.filter((line) => /^yuxi_http_request_duration_seconds_count\{.*status="5\d\d".*\} [1-9]/.test(line));
}

describe('clients that are slow on purpose', () => {
  let fleet: Fleet;
  let base: string;
  beforeAll(async () => {
    fleet = await startFleet({ replicas: 1 });
    base = `/api/knowledge/databases/${await createKnowledgeBase(fleet.apis[0]!, fleet.token, 'slow')}`;
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  it.each([
    ['their heads', 'H', '/health/live', ['-x', '8'], CUT.heads, true],
    ['their bodies', 'B', '/api/auth/token', FORM, CUT.bodies, size(false, true)],
    ['answers they read', 'X', '/api/openapi.json', SMALL_WINDOW, CUT.answers, size(false, true)],
  ] as const)(
    'keep nobody waiting with %s, and lose their connections in the time that the docs say',
    async (_, attack, path, options, cutWithin, toTheEnd) => {
      if (!slowHttpTestBinary()) return reportSkip('slow clients', 'slowhttptest is not installed');
      const { apis, token, replicas } = fleet;
      const [client, replica] = [apis[0]!, replicas[0]!];
      const load = new Load();
      load.run('read', 10, () => client.get(base, { token, timeout: WITHIN_MS }));
      const json = { query: 'swallow' };
      load.run('search', 10, () => client.post(`${base}/query`, { json, token, timeout: WITHIN_MS }));
      const slow = await startSlowHttpTest({
        attack,
        url: `${replica.baseUrl}${path}`,
        connections: CONNECTIONS,
        options,
      });
      try {
        const from = performance.now();
        await eventually(async () => expect(await sockets(replica)).toBeGreaterThanOrEqual(CONNECTIONS), {
          describe: `${CONNECTIONS} slow connections`,
        });
        await load.more(50, MINUTES);
        if (toTheEnd)
          await eventually(async () => expect(await sockets(replica)).toBeLessThan(OWN), {
            timeout: cutWithin * 1000,
            every: 500,
            describe: 'the slow connections to be cut',
          });
        const seconds = Math.round((performance.now() - from) / 1000);
        const p99 = load.quantile(0.99).toFixed(0);
        console.info(
          `slow-clients: ${CONNECTIONS} connections, -${attack}: ${toTheEnd ? `gone after ${seconds} s` : `for ${seconds} s`}, ` +
            `${load.sent.length} answers to others, p99 ${p99} ms`,
        );
      } finally {
        await slow.stop();
        await load.stop();
      }
      expect(load.failed()).toEqual([]);
      expect(await answers5xx(replica)).toEqual([]);
    },
    5 * MINUTES,
  );
});
