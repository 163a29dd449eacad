// Asks a product how it is, from a process of its own, so that a busy test does not look like a busy server.
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { takeOrders } from '@yuxi/testing';

const agent = new Agent({ keepAlive: true, maxSockets: 200 });
const LIVE_EVERY = 10;
const SEARCH_EVERY = 40;
const GIVEN_UP = 60_000;

/** Milliseconds of answers since they were last taken, and what was not answered with 200. */
let seen = { live: [], search: [], failures: [] };

function ask(kind, url, { token, json } = {}) {
  const body = json && JSON.stringify(json);
  const headers = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  };
  const from = performance.now();
  return new Promise((resolve) => {
    const end = (failure) => {
      seen[kind].push(performance.now() - from);
      if (failure) seen.failures.push(`${kind}: ${failure}`);
      resolve();
    };
    const sent = request(url, { method: body ? 'POST' : 'GET', agent, headers, timeout: GIVEN_UP }, (answer) => {
      answer.resume().on('end', () => end(answer.statusCode === 200 ? undefined : String(answer.statusCode)));
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${GIVEN_UP} ms`)));
    sent.on('error', (error) => end(error.message));
    sent.end(body);
  });
}

takeOrders({
  /** Probes at their times, whether or not those before are answered; searches one after the other. */
  start: ({ baseUrls, token, dbId, questions }) => {
    let asked = 0;
    setInterval(() => void ask('live', `${baseUrls[asked++ % baseUrls.length]}/health/live`), LIVE_EVERY);
    const search = async () => {
      for (let i = 0; ; i++) {
        const url = `${baseUrls[i % baseUrls.length]}/api/knowledge/databases/${dbId}/query`;
        await ask('search', url, { token, json: { query: questions[i % questions.length] } });
        await pause(SEARCH_EVERY);
      }
    };
    void search();
  },
  take: () => {
    const taken = seen;
    seen = { live: [], search: [], failures: [] };
    return taken;
  },
});
