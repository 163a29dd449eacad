// How long replicas of a live configuration take to serve a change, without and under faults, beside a plain message of Redis.
//
// npm run bench -- config [--json] [--check] [--rounds N] [--part healthy|lost|restarted|gone|half-open]
import { setTimeout as pause } from 'node:timers/promises';
import { startFleet } from './config/fleet.mjs';
import { report } from './report.mjs';

const options = process.argv.slice(2);
if (options.includes('--help')) {
  console.log(
    'Usage: npm run bench -- config [--json] [--check] [--rounds N] [--part healthy|lost|restarted|gone|half-open]',
  );
  process.exit(0);
}
const rounds = Number(options[options.indexOf('--rounds') + 1]) || 200;
const only = options.includes('--part') ? options[options.indexOf('--part') + 1] : undefined;
/** Faults take seconds each. */
const FEW = Math.ceil(rounds / 20);

const rows = [];
const row = (what, value, unit, bar) => rows.push({ what, value, unit, bar });
const at = (values, share) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

/** Runs `body` on a fleet of its own. */
async function withFleet(count, replicaOptions, body) {
  const fleet = await startFleet(count, replicaOptions);
  try {
    for (let i = 0; i < 5; i++) await fleet.changed();
    await body(fleet);
  } finally {
    await fleet.stop();
  }
}

/** By then every subscription is active again. */
const SETTLED = 2000;

/** Measures a fault `times` times, and reports the median and the longest. */
async function few(what, bar, times, measure) {
  const taken = [];
  for (let i = 0; i < times; i++) {
    taken.push(await measure());
    console.error(`[config] ${what}: ${taken.at(-1).toFixed(0)} ms`);
  }
  row(`${what}: median of ${times}`, at(taken, 0.5), 'ms');
  row(`${what}: longest`, Math.max(...taken), 'ms', bar);
}

const PARTS = {
  async healthy() {
    for (const { count, bars } of [
      { count: 3, bars: ['<= 10', '<= 50'] },
      { count: 8, bars: [undefined, '<= 200'] },
    ])
      await withFleet(count, {}, async (fleet) => {
        const [changed, published] = [[], []];
        for (let i = 0; i < rounds; i++) {
          changed.push(await fleet.changed());
          await pause(10);
          published.push(await fleet.published());
          await pause(10);
        }
        for (const [name, share, bar] of [
          ['p50', 0.5, bars[0]],
          ['p99', 0.99, bars[1]],
        ]) {
          row(`${count} replicas, commit to served by all: ${name}`, at(changed, share), 'ms', bar);
          row(`${count} replicas, plain publish to received by all: ${name}`, at(published, share), 'ms');
        }
      });
  },
  /** No replica receives a notice. */
  lost: () =>
    withFleet(3, { subscribe: false, notify: false }, (fleet) =>
      few('every notice lost', '<= 2500', FEW, () => fleet.changed()),
    ),
  async restarted() {
    await withFleet(3, { notify: false }, async (fleet) => {
      for (const down of [50, 500, 3000])
        await few(
          `Redis restarted after ${down} ms, from its answer on, without NOTIFY`,
          '<= 500',
          Math.ceil(FEW / 2),
          async () => {
            await fleet.redis.kill();
            await pause(down);
            // Committed just before, so that no periodic read brings it.
            const taken = await fleet.servedAfter(() => fleet.redis.restart());
            await pause(SETTLED);
            return taken;
          },
        );
    });
  },
  async gone() {
    for (const notify of [true, false])
      await withFleet(3, { notify }, async (fleet) => {
        await fleet.redis.kill();
        await pause(1000);
        const what = `Redis gone, ${notify ? 'NOTIFY only' : 'without NOTIFY'}`;
        await few(what, notify ? '<= 200' : '<= 2500', FEW, () => fleet.changed());
      });
  },
  async 'half-open'() {
    for (const notify of [true, false])
      await withFleet(3, { notify }, async (fleet) => {
        const [{ link, port }] = fleet.replicas;
        const what = `a link to Redis half open, ${notify ? 'with' : 'without'} NOTIFY`;
        await few(what, '<= 2500', FEW, async () => {
          link.blackhole();
          const taken = await fleet.changed([port]);
          await link.heal();
          await pause(SETTLED);
          return taken;
        });
      });
  },
};

if (only !== undefined && !(only in PARTS)) {
  console.error(`There is no part "${only}": ${Object.keys(PARTS).join(', ')}`);
  process.exit(64);
}
for (const [name, part] of Object.entries(PARTS)) if (only === undefined || only === name) await part();
report('config', rows, options);
process.exit();
