import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type Replica, reportSkip, slowHttpTestBinary, startSlowHttpTest } from '@yuxi/testing';
import { Load } from '../support/api/load.js';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { size } from '../support/size.js';

const MINUTES = 60_000;
const CONNECTIONS = size(200, 1000);
/** More connections than those of other clients, Redis and PostgreSQL. */
const OTHER_CONNECTIONS = 40;
/** Longest request of other clients, also on a busy machine. */
const REQUEST_TIMEOUT_MS = 5000;

/** The longest body that is accepted without a token. */
const FORM = ['-f', 'application/x-www-form-urlencoded', '-s', '16000', '-x', '8'];
const SMALL_WINDOW = ['-w', '1', '-y', '64', '-n', '1', '-z', '5'];

/** The timeouts in docs/deployment.md, with 5 s between two checks of Node, and a margin for a busy machine, seconds. */
const CLOSED_WITHIN = { heads: 10 + 5 + 10, bodies: 30 + 10, answers: 65 + 5 + 20 };

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
    ['slow headers', 'H', '/health/live', ['-x', '8'], CLOSED_WITHIN.heads, true],
    ['slow bodies', 'B', '/api/auth/token', FORM, CLOSED_WITHIN.bodies, size(false, true)],
    ['slow reading', 'X', '/api/openapi.json', SMALL_WINDOW, CLOSED_WITHIN.answers, size(false, true)],
  ] as const)(
    'do not delay other clients, and are disconnected within the documented time: %s',
    async (_, attack, path, options, closedWithin, untilClosed) => {
      if (!slowHttpTestBinary()) return reportSkip('slow clients', 'slowhttptest is not installed');
      const { apis, token, replicas } = fleet;
      const [client, replica] = [apis[0]!, replicas[0]!];
      const load = new Load();
      load.run('read', 10, () => client.get(base, { token, timeout: REQUEST_TIMEOUT_MS }));
      const json = { query: 'swallow' };
      load.run('search', 10, () => client.post(`${base}/query`, { json, token, timeout: REQUEST_TIMEOUT_MS }));
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
        if (untilClosed)
          await eventually(async () => expect(await sockets(replica)).toBeLessThan(OTHER_CONNECTIONS), {
            timeout: closedWithin * 1000,
            every: 500,
            describe: 'the slow connections to be closed',
          });
        const seconds = Math.round((performance.now() - from) / 1000);
        const p99 = load.quantile(0.99).toFixed(0);
        console.info(
          `slow-clients: ${CONNECTIONS} connections, -${attack}: ${untilClosed ? `closed after ${seconds} s` : `for ${seconds} s`}, ` +
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
