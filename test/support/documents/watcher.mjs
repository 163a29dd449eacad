// Sends probes and searches to replicas. A separate process, so that a busy test does not look like a busy server.
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { handleCalls } from '@yuxi/testing';

const agent = new Agent({ keepAlive: true, maxSockets: 200 });
const LIVE_EVERY = 10;
const SEARCH_EVERY = 40;
const GIVEN_UP = 60_000;

/** Since the last `take`: response times in milliseconds, failures, and open requests. */
const emptyResults = () => ({ live: [], search: [], failures: [], open: new Set() });
let seen = emptyResults();

function ask(kind, url, { token, json } = {}) {
  const body = json && JSON.stringify(json);
  const headers = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  };
  const from = performance.now();
  const into = seen;
  const answered = new Promise((resolve) => {
    const end = (failure) => {
      into[kind].push(performance.now() - from);
      if (failure) into.failures.push(`${kind}: ${failure}`);
      resolve();
    };
    const sent = request(url, { method: body ? 'POST' : 'GET', agent, headers, timeout: GIVEN_UP }, (answer) => {
      answer.resume().on('end', () => end(answer.statusCode === 200 ? undefined : String(answer.statusCode)));
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${GIVEN_UP} ms`)));
    sent.on('error', (error) => end(error.message));
    sent.end(body);
  });
  into.open.add(answered);
  return answered.then(() => into.open.delete(answered));
}

/** Targets and questions.
 * @typedef {{ baseUrls: string[], token: string, dbId: string, questions: string[] }} Asked */

handleCalls({
  /** Sends probes at fixed times, also while earlier ones are open. Sends searches one after the other. */
  start: (/** @type {Asked} */ { baseUrls, token, dbId, questions }) => {
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
  take,
});

async function take() {
  const { open, ...taken } = seen;
  seen = emptyResults();
  await Promise.all(open);
  return taken;
}
