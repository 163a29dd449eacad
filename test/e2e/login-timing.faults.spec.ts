import { Agent, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { schema } from '@yuxi/storage';
import { type PostgresServer, runSeed, startPostgres } from '@yuxi/testing';
import { AuthApp, PASSWORD } from '../support/api/auth-app.js';
import { Passwords } from '../../apps/api/src/auth/passwords.js';
import { auc, median } from '../support/api/auc.js';
import { shuffled } from '../support/knowledge/index-clients.js';
import { size } from '../support/size.js';

const SEED = runSeed();
const MINUTES = 60_000;
const WARM_UP = size(20, 200);
/** Failures per account, few enough that no limit delays the next attempt. */
const TRIES_PER_ACCOUNT = 4;

/** Answers at once for an unknown user, as the legacy API did. */
class WithoutDummyHash extends Passwords {
  override async verify(stored: string | undefined, password: string): Promise<boolean> {
    return stored === undefined ? false : super.verify(stored, password);
  }
}

type Kind = 'wrong password' | 'unknown user';

const report = (what: string, times: Record<Kind, number[]>): number => {
  const [wrong, unknown] = [times['wrong password'], times['unknown user']];
  const area = auc(wrong, unknown);
  console.info(
    `login-timing: ${what}, ${wrong.length} + ${unknown.length} tries: median ${median(wrong).toFixed(2)} ms for a wrong ` +
      `password, ${median(unknown).toFixed(2)} ms for an unknown user, AUC ${area.toFixed(3)}`,
  );
  return area;
};

describe('A2 the duration of a refused login', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.stop());

  /** Milliseconds of `tries` refused logins, one after the other. */
  async function measure(tries: number, passwords?: typeof Passwords): Promise<Record<Kind, number[]>> {
    // Each try has a different address, so no login limit refuses it.
    const limiter = { trustedProxies: ['127.0.0.1'] };
    const app = await AuthApp.start({ databaseUrl: (await server.createDatabase()).url, limiter, passwords });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      await app.initialize();
      const order = inPairs(WARM_UP + tries);
      await addAccounts(app, Math.ceil(order.length / 2 / TRIES_PER_ACCOUNT));
      await app.app.listen(0, '127.0.0.1');
      const { port } = app.app.getHttpServer().address() as AddressInfo;
      const times: Record<Kind, number[]> = { 'wrong password': [], 'unknown user': [] };
      let wrong = 0;
      for (const [index, kind] of order.entries()) {
        const account = () => Math.floor(wrong++ / TRIES_PER_ACCOUNT);
        const username = kind === 'wrong password' ? `account_${account()}` : `unknown_${index}`;
        const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
        const duration = await refusedLogin(port, agent, username, address);
        if (index >= WARM_UP) times[kind].push(duration);
      }
      return times;
    } finally {
      agent.destroy();
      await app.close();
    }
  }

  it(
    'does not reveal whether the user exists',
    async () => {
      const area = report('product', await measure(size(300, 4000)));
      // For equal durations, the area is outside these bounds by chance in about one of a thousand runs.
      expect(Math.abs(area - 0.5)).toBeLessThan(size(0.15, 0.03));
    },
    10 * MINUTES,
  );

  it(
    'control: reveals it when no hash is computed for an unknown user',
    async () => {
      expect(
        report('without the hash for an unknown user', await measure(size(60, 200), WithoutDummyHash)),
      ).toBeGreaterThan(0.95);
    },
    MINUTES,
  );
});

/** Pairs with one try of each kind, in random order by the seed, so that a slower machine delays both kinds equally. */
function inPairs(tries: number): Kind[] {
  const firsts = Array.from({ length: tries / 2 }, (_, i) => i % 2 === 0);
  return shuffled(firsts, SEED).flatMap((wrongFirst): Kind[] =>
    wrongFirst ? ['wrong password', 'unknown user'] : ['unknown user', 'wrong password'],
  );
}

/** Adds users. All have the same hash, because only refusals are measured. */
async function addAccounts(app: AuthApp, count: number): Promise<void> {
  const passwordHash = await app.app.get(Passwords).hash(PASSWORD, 'password', []);
  const accounts = Array.from({ length: count }, (_, i) => ({
    userId: `account_${i}`,
    username: `account_${i}`,
    passwordHash,
    role: 'user' as const,
  }));
  await app.database.insert(schema.users).values(accounts);
}

/** @returns milliseconds until the whole answer has arrived */
async function refusedLogin(port: number, agent: Agent, username: string, address: string): Promise<number> {
  const body = JSON.stringify({ username, password: 'a wrong password' });
  const headers = { 'content-type': 'application/json', 'content-length': body.length, 'x-forwarded-for': address };
  const from = performance.now();
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', path: '/api/auth/token', method: 'POST', headers, agent });
    outgoing.on('response', (incoming) => incoming.resume().on('end', () => resolve(incoming.statusCode)));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
  const duration = performance.now() - from;
  expect(status).toBe(401);
  return duration;
}
