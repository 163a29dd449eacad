import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { median } from '../measure.mjs';
import { OURS } from './ours.mjs';
import { open } from './peers.mjs';

const CONTENDER = fileURLToPath(new URL('contender.mjs', import.meta.url));
const PROCESSES = 4;
const LOOPS = 8;
/** Duration of one run of 32 callers, milliseconds. */
const CONTENDED = 3000;
/** Longest time for 500 callers, milliseconds. */
const DRAIN = 30_000;

let runs = 0;

/** Peers that poll are measured with their default interval and with 5 ms, which is better for most of them. */
const all = (peers) => [
  { name: OURS, poll: 0 },
  ...peers.flatMap(({ name, polls }) => (polls ? [0, 5] : [0]).map((poll) => ({ name, poll }))),
];
const label = ({ name, poll }) => (poll ? `${name} at ${poll} ms` : name);

/** 32 callers in four processes, 1 ms under the lock. */
export async function contended({ server, rounds, peers, row }) {
  const systems = all(peers);
  const results = new Map(systems.map((system) => [label(system), []]));
  const trips = await roundTrips(server.url);
  for (let round = 0; round < rounds; round++)
    for (const system of systems) {
      const trip = await trips();
      const result = figures(await contend(server, system, { loops: LOOPS, ms: CONTENDED, section: 1 }), trip);
      results.get(label(system)).push(result);
      const { changes, jain, errors } = result;
      console.error(
        `[lock] ${label(system)}: ${changes.toFixed(0)} owners/s, Jain ${jain.toFixed(3)}, ${errors} errors`,
      );
    }
  const of = (name, field) => median(results.get(name).map((result) => result[field]));
  for (const system of systems) {
    const name = label(system);
    const bar = (text) => (system.name === OURS ? text : undefined);
    row(`32 callers, ${name}: owner changes`, of(name, 'changes'), '/s');
    row(`32 callers, ${name}: share of the limit`, of(name, 'share'), '%', bar('>= 85'));
    row(`32 callers, ${name}: Jain index`, of(name, 'jain'), '', bar('>= 0.99'));
    row(`32 callers, ${name}: wait p50`, of(name, 'p50'), 'ms');
    row(`32 callers, ${name}: wait p99 over p50`, of(name, 'spread'), 'x', bar('<= 2'));
    row(`32 callers, ${name}: commands a turn`, of(name, 'commands'), '', bar('<= 2.1'));
    row(`32 callers, ${name}: two inside at once`, Math.max(...results.get(name).map((r) => r.overlaps)), '', '= 0');
    row(`32 callers, ${name}: section`, of(name, 'section'), 'ms');
    row(`32 callers, ${name}: from one owner to the next`, of(name, 'gap'), 'ms');
    row(`32 callers, ${name}: round trip`, of(name, 'trip'), 'ms');
  }
  const best = Math.max(...systems.slice(1).map((system) => of(label(system), 'changes')));
  if (systems.length > 1)
    row('32 callers: owner changes over the best peer', of(OURS, 'changes') / best, 'x', '>= 1.5');
}

function figures(answers, trip) {
  const turns = answers.flatMap((answer) => answer.turns).toSorted((a, b) => a.entered - b.entered);
  const counts = new Map();
  for (const { caller } of turns) counts.set(caller, (counts.get(caller) ?? 0) + 1);
  // PROCESSES * LOOPS also counts callers without a turn.
  const squares = [...counts.values()].reduce((sum, count) => sum + count ** 2, 0);
  const waits = turns.map(({ requested, entered }) => entered - requested).toSorted((a, b) => a - b);
  const p = (share) => waits[Math.floor(waits.length * share)] ?? Number.NaN;
  const section = median(turns.map(({ entered, left }) => left - entered)) ?? Number.NaN;
  const changes = turns.filter(({ caller }, i) => i > 0 && caller !== turns[i - 1].caller).length / (CONTENDED / 1000);
  const commands = answers.reduce((sum, answer) => sum + answer.commands, 0) / turns.length;
  return {
    changes,
    share: (changes / (1000 / (section + 1.5 * trip))) * 100,
    jain: turns.length ** 2 / (PROCESSES * LOOPS * squares),
    p50: p(0.5),
    spread: p(0.99) / p(0.5),
    commands,
    overlaps: turns.filter(({ entered }, i) => i > 0 && entered < turns[i - 1].left).length,
    errors: answers.reduce((sum, answer) => sum + answer.errors, 0),
    section,
    gap: median(turns.slice(1).map(({ entered }, i) => entered - turns[i].left)) ?? Number.NaN,
    trip,
  };
}

/** 500 callers in four processes, one turn each. */
export async function drained({ server, rounds, peers, row }) {
  const systems = all(peers);
  const took = new Map(systems.map((system) => [label(system), []]));
  for (let round = 0; round < rounds; round++)
    for (const system of systems) {
      const answers = await contend(server, system, { loops: 125, ms: DRAIN, once: true, section: 0 });
      const turns = answers.flatMap((answer) => answer.turns);
      const from = Math.min(...answers.map((answer) => answer.from));
      const seconds = turns.length < 500 ? DRAIN / 1000 : (Math.max(...turns.map(({ left }) => left)) - from) / 1000;
      took.get(label(system)).push(seconds);
      const errors = answers.flatMap(({ error }) => error ?? [])[0] ?? '';
      console.error(
        `[lock] ${label(system)}: ${turns.length} of 500 in ${seconds.toFixed(2)} s ${errors.slice(0, 120)}`,
      );
    }
  const of = (system) => median(took.get(label(system)));
  for (const system of systems) row(`500 callers, ${label(system)}: drained in`, of(system), 's');
  const best = Math.min(...systems.slice(1).map(of));
  if (systems.length > 1) row('500 callers: the best peer over ours', best / of(systems[0]), 'x', '>= 5');
}

async function contend(server, { name, poll }, order) {
  const key = `contended ${runs++}`;
  const children = Array.from({ length: PROCESSES }, () =>
    fork(CONTENDER, { execArgv: ['--disable-warning=MaxListenersExceededWarning'] }),
  );
  try {
    const ready = Promise.all(children.map((child) => once(child, 'message')));
    for (const child of children) child.send({ name, url: server.url, poll, key, ...order });
    await ready;
    const answers = Promise.all(children.map((child) => once(child, 'message')));
    for (const child of children) child.send('go');
    return (await answers).map(([answer]) => answer);
  } finally {
    for (const child of children) child.kill();
  }
}

/** Measures the median milliseconds of one command on an idle connection: half of an uncontended pair. */
async function roundTrips(url) {
  const pair = await open('raw', url);
  return async () => {
    const times = [];
    for (let i = 0; i < 300; i++) {
      const from = performance.now();
      const release = await pair('trip');
      await release();
      times.push((performance.now() - from) / 2);
    }
    return median(times);
  };
}
