import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cpuOf, median } from '../measure.mjs';
import { load } from './http-load.mjs';

const SERVER = fileURLToPath(new URL('http-server.mjs', import.meta.url));
const CONNECTIONS = 64;
const SLICE = 500;
const WARM_UP = 20;
const EMPTY = 'an empty Fastify route';
const FLOOR = 'an empty Fastify route that says 429';
const PLAIN = 'Nest without a guard';
const OURS = 'Nest with @RateLimit';
const PEER = 'Nest with @nest-lab/throttler-storage-redis';
const REFUSED = ', client refused';

/** Measures routes with one limit over HTTP. Each server has its own process; the servers are measured in turns. */
export async function http({ server, rounds, peers, row }) {
  const kinds = [EMPTY, FLOOR, PLAIN, OURS, OURS + REFUSED, ...(peers.length > 0 ? [PEER, PEER + REFUSED] : [])];
  const children = kinds.map((kind) => ({ kind, child: fork(SERVER), rates: [], cpu: [] }));
  try {
    for (const each of children) {
      each.child.send({ kind: each.kind, url: server.url });
      [each.port] = await once(each.child, 'message');
    }
    // The first rounds are a warm-up: server and load leave the compiler little time on two cores.
    for (let round = -WARM_UP; round <= rounds; round++)
      for (const { kind, port, child, rates, cpu } of children) {
        const before = cpuOf(child.pid);
        const { rate, statuses } = await load(port, { connections: CONNECTIONS, ms: SLICE });
        const expected = kind === FLOOR || (kind.endsWith(REFUSED) && round > 0) ? '429' : '200';
        if (round > 0 && Object.keys(statuses).join() !== expected)
          throw new Error(`${kind}: ${JSON.stringify(statuses)}`);
        if (round < 1) continue;
        rates.push(rate);
        cpu.push((cpuOf(child.pid) - before) / Object.values(statuses).reduce((sum, each) => sum + each, 0));
      }
  } finally {
    for (const { child } of children) child.kill();
  }
  const of = (kind, what = 'rates') => median(children.find((each) => each.kind === kind)[what]);
  for (const kind of kinds) {
    row(`HTTP, ${kind}`, of(kind), '/s');
    row(`HTTP, ${kind}: CPU of its process for an answer`, of(kind, 'cpu'), 'us');
  }
  row('HTTP, @RateLimit over no guard', of(OURS) / of(PLAIN), 'x', '>= 0.6');
  if (peers.length > 0) row('HTTP, @RateLimit over @nest-lab', of(OURS) / of(PEER), 'x', '> 1');
  row('HTTP, an empty route over one that says 429', of(EMPTY) / of(FLOOR), 'x');
  row('HTTP, an empty route over a refused client', of(EMPTY) / of(OURS + REFUSED), 'x', '<= 1.3');
}
