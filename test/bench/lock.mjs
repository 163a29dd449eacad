// Compares @yuxi/lock with other locks, and with the two plain commands that every lock needs, in alternating runs.
import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { startRedis } from '@yuxi/testing';
import { contended, drained } from './lock/contended.mjs';
import { held } from './lock/held.mjs';
import { availablePeers, installPeers } from './lock/peers.mjs';
import { uncontended } from './lock/uncontended.mjs';
import { report } from './report.mjs';

const PARTS = { single: uncontended(1), many: uncontended(64), contended, drained, held };
const USAGE = `Usage: npm run bench -- lock [--json] [--check] [--rounds N] [--part PART]... [--alone]
  --rounds N   measured rounds of each part, after a first one for the JIT compiler (3)
  --part PART  ${Object.keys(PARTS).join(', ')}; default: all
  --alone      without the other locks`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    part: { type: 'string', multiple: true, default: Object.keys(PARTS) },
    alone: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const unknown = values.part.find((name) => !(name in PARTS));
if (values.help || unknown || !(Number(values.rounds) >= 1)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 64);
}

if (!values.alone) installPeers();
const server = await startRedis();
const rows = [];
const bench = {
  server,
  rounds: Number(values.rounds),
  peers: values.alone ? [] : availablePeers(),
  row: (what, value, unit, bar) => rows.push({ what, value, unit, bar }),
};
try {
  for (const name of values.part) await PARTS[name](bench);
} finally {
  await server.stop();
}
report('lock', rows, process.argv);
// Some of the other locks keep timers.
process.exit();
