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
/** Failures that an account may have before it is slowed down by anybody. */
const TRIES_PER_ACCOUNT = 4;

/** Answers at once where there is no such user, as the legacy API did. */
class Hasty extends Passwords {
  override async verify(stored: string | undefined, password: string): Promise<boolean> {
    return stored === undefined ? false : super.verify(stored, password);
  }
}

type Kind = 'wrong password' | 'unknown user';

const tell = (what: string, times: Record<Kind, number[]>): number => {
  const [wrong, unknown] = [times['wrong password'], times['unknown user']];
  const area = auc(wrong, unknown);
  console.info(
    `login-timing: ${what}, ${wrong.length} + ${unknown.length} tries: median ${median(wrong).toFixed(2)} ms for a wrong ` +
      `password, ${median(unknown).toFixed(2)} ms for an unknown user, AUC ${area.toFixed(3)}`,
  );
  return area;
};

describe('A2 the time of a refused login', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.stop());

  /** Milliseconds of `tries` refused logins, one after the other. */
  async function measure(tries: number, passwords?: typeof Passwords): Promise<Record<Kind, number[]>> {
    // Each try comes from an address of its own, so that no limit of logins takes part.
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
        const username = kind === 'wrong password' ? `account_${account()}` : `nobody_${index}`;
        const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
        const took = await refusedLogin(port, agent, username, address);
        if (index >= WARM_UP) times[kind].push(took);
      }
      return times;
    } finally {
      agent.destroy();
      await app.close();
    }
  }

  it(
    'does not tell whether there is such a user',
    async () => {
      const area = tell('product', await measure(size(300, 4000)));
      // By chance alone the area of so many tries lies within these bounds in all but one of some thousand runs.
      expect(Math.abs(area - 0.5)).toBeLessThan(size(0.15, 0.03));
    },
    10 * MINUTES,
  );

  it(
    'control: it does when an unknown user costs no hash',
    async () => {
      expect(tell('without the hash for nobody', await measure(size(60, 200), Hasty))).toBeGreaterThan(0.95);
    },
    MINUTES,
  );
});

/** Both kinds in every pair, which of them first by the seed: a machine that slows down slows both down. */
function inPairs(tries: number): Kind[] {
  const firsts = Array.from({ length: tries / 2 }, (_, i) => i % 2 === 0);
  return shuffled(firsts, SEED).flatMap((wrongFirst): Kind[] =>
    wrongFirst ? ['wrong password', 'unknown user'] : ['unknown user', 'wrong password'],
  );
}

/** Users with one hash for all of them: only refusals are measured. */
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

/** @returns milliseconds until the whole answer was there */
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
  const took = performance.now() - from;
  expect(status).toBe(401);
  return took;
}
