import { api, firstRun } from '@yuxi/testing';

const REQUESTS = 3000;
const IN_FLIGHT = 16;
const ROUNDS = 5;
const ROUTE = '/api/auth/me';

/**
 * Microseconds of the server's processor for one request, with and without the limit of requests per minute, by turns.
 * @param cpuOf seconds of processor that a process has used
 */
export async function generalLimit({ baseUrl, pid }, cpuOf) {
  const token = await firstRun(baseUrl);
  const client = api(baseUrl);
  const load = async () => {
    let left = REQUESTS;
    const loop = async () => {
      while (left-- > 0) {
        const { status } = await client.get(ROUTE, { token });
        if (status !== 200) throw new Error(`GET ${ROUTE} answered ${status}`);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, loop));
  };
  const used = { on: [], off: [] };
  for (let round = 0; round <= ROUNDS; round++)
    for (const [name, value] of [
      ['on', 1_000_000],
      ['off', 0],
    ]) {
      const json = { key: 'requests_per_minute', value };
      const { status } = await client.post('/api/system/config', { token, json });
      if (status !== 200) throw new Error(`the limit could not be set: ${status}`);
      const before = cpuOf(pid);
      await load();
      // The first round also compiles the code.
      if (round > 0) used[name].push(((cpuOf(pid) - before) * 1e6) / REQUESTS);
    }
  return used;
}
