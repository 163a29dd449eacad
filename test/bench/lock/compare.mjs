// @yuxi/lock beside other locks and the two plain commands, interleaved.
// node test/bench/lock/compare.mjs [--json] [--rounds N]
import 'reflect-metadata';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startRedis } from '@yuxi/testing';
import { availablePeers, commandsSent, installPeers, open } from './peers.mjs';
import { print } from '../product/table.mjs';

const options = process.argv.slice(2);
if (options.includes('--help')) {
  console.log('Usage: node test/bench/lock/compare.mjs [--json] [--rounds N]');
  process.exit(0);
}
const rounds = Number(options[options.indexOf('--rounds') + 1]) || 3;
const CONTENDER = fileURLToPath(new URL('peer-contender.mjs', import.meta.url));
const PROCESSES = 4;
/** Milliseconds: a slice of one lock uncontended, of 32 callers, the longest that 500 may take. */
const SLICE = 700;
const CONTENDED = 3000;
const DRAIN = 30_000;
const OURS = '@yuxi/lock';

const say = (text) => console.error(`[lock] ${text}`);
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const rows = [];
let pair;
let runs = 0;
const row = (what, value, unit, bar) => rows.push({ what, value, unit, bar });

installPeers();
const peers = availablePeers();
const server = await startRedis();
try {
  await uncontended(1, { commands: '<= 2', cpu: '<= 1.15' });
  await uncontended(64, { rate: '>= 1', cpu: '<= 1' });
  const waiting = [
    { name: OURS, poll: 0 },
    ...peers.flatMap(({ name, polls }) => (polls ? [0, 5] : [0]).map((poll) => ({ name, poll }))),
  ];
  await contended(waiting);
  await drained(waiting);
} finally {
  await server.stop();
}
print(rows, options.includes('--json'));
process.exit(0);

async function uncontended(width, bars) {
  const systems = ['raw', OURS, ...peers.map(({ name }) => name)];
  const opened = new Map();
  for (const name of systems) opened.set(name, await open(name, server.url));
  const results = new Map(systems.map((name) => [name, []]));
  // The first round compiles.
  for (let round = 0; round <= rounds; round++)
    for (const [name, acquire] of opened) {
      const result = await slice(acquire, width, `${name} ${width}`);
      if (round > 0) results.get(name).push(result);
    }
  const of = (name, field) => median(results.get(name).map((result) => result[field]));
  const what = width === 1 ? 'one at a time' : `${width} in flight`;
  for (const name of systems) {
    const bar = (field) => (name === OURS ? bars[field] : undefined);
    row(`${what}, ${name}: pairs`, of(name, 'rate'), '/s');
    row(`${what}, ${name}: pairs over raw`, of(name, 'rate') / of('raw', 'rate'), 'x', bar('rate'));
    row(`${what}, ${name}: CPU over raw`, of(name, 'cpu') / of('raw', 'cpu'), 'x', bar('cpu'));
    row(`${what}, ${name}: commands a pair`, of(name, 'commands'), '', bar('commands'));
  }
}

async function slice(acquire, width, name) {
  const [cpuBefore, serverBefore, sentBefore] = [process.cpuUsage(), cpuOfServer(), commandsSent()];
  const from = performance.now();
  let pairs = 0;
  const loop = async (_, i) => {
    for (; performance.now() - from < SLICE; pairs++) await (await acquire(`${name} ${i}`))();
  };
  await Promise.all(Array.from({ length: width }, loop));
  const seconds = (performance.now() - from) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpu = (user + system + cpuOfServer() - serverBefore) / pairs;
  return { rate: pairs / seconds, cpu, commands: (commandsSent() - sentBefore) / pairs };
}

/** 32 callers in four processes, 1 ms under the lock. */
async function contended(systems) {
  const results = new Map(systems.map((system) => [label(system), []]));
  for (let round = 0; round < rounds; round++)
    for (const system of systems) {
      const trip = await roundTrip();
      const result = figures(await contend(system, { loops: 8, ms: CONTENDED, section: 1 }), trip);
      results.get(label(system)).push(result);
      const { changes, jain, errors } = result;
      say(`${label(system)}: ${changes.toFixed(0)} owners/s, Jain ${jain.toFixed(3)}, ${errors} errors`);
    }
  const of = (name, field) => median(results.get(name).map((result) => result[field]));
  const best = systems.slice(1).map((system) => of(label(system), 'changes'));
  for (const system of systems) {
    const name = label(system);
    const bar = (text) => (name === OURS ? text : undefined);
    row(`32 callers, ${name}: owner changes`, of(name, 'changes'), '/s');
    row(`32 callers, ${name}: share of the limit`, of(name, 'share'), '%', bar('>= 85'));
    row(`32 callers, ${name}: Jain index`, of(name, 'jain'), '', bar('>= 0.99'));
    row(`32 callers, ${name}: wait p50`, of(name, 'p50'), 'ms');
    row(`32 callers, ${name}: wait p99 over p50`, of(name, 'spread'), 'x', bar('<= 2'));
    row(`32 callers, ${name}: commands a turn`, of(name, 'commands'), '', bar('<= 2.1'));
    row(`32 callers, ${name}: two inside at once`, Math.max(...results.get(name).map((r) => r.overlaps)), '', '= 0');
    row(`32 callers, ${name}: section`, of(name, 'section'), 'ms');
    row(`32 callers, ${name}: round trip`, of(name, 'trip'), 'ms');
  }
  if (best.length > 0)
    row('32 callers: owner changes over the best peer', of(OURS, 'changes') / Math.max(...best), 'x', '>= 1.5');
}

function figures(answers, trip) {
  const turns = answers.flatMap((answer) => answer.turns).toSorted((a, b) => a.entered - b.entered);
  const counts = new Map();
  for (const { who } of turns) counts.set(who, (counts.get(who) ?? 0) + 1);
  // Who never got a turn counts as well.
  const squares = [...counts.values()].reduce((sum, count) => sum + count ** 2, 0);
  const waits = turns.map(({ asked, entered }) => entered - asked).toSorted((a, b) => a - b);
  const p = (share) => waits[Math.floor(waits.length * share)] ?? Number.NaN;
  const section = median(turns.map(({ entered, left }) => left - entered)) ?? Number.NaN;
  const changes = turns.filter(({ who }, i) => i > 0 && who !== turns[i - 1].who).length / (CONTENDED / 1000);
  const commands = answers.reduce((sum, answer) => sum + answer.commands, 0) / turns.length;
  return {
    changes,
    share: (changes / (1000 / (section + 1.5 * trip))) * 100,
    jain: turns.length ** 2 / (PROCESSES * 8 * squares),
    p50: p(0.5),
    spread: p(0.99) / p(0.5),
    commands,
    overlaps: turns.filter(({ entered }, i) => i > 0 && entered < turns[i - 1].left).length,
    errors: answers.reduce((sum, answer) => sum + answer.errors, 0),
    section,
    trip,
  };
}

/** 500 callers in four processes, one turn each. */
async function drained(systems) {
  const took = new Map(systems.map((system) => [label(system), []]));
  for (let round = 0; round < rounds; round++)
    for (const system of systems) {
      const answers = await contend(system, { loops: 125, ms: DRAIN, once: true, section: 0 });
      const turns = answers.flatMap((answer) => answer.turns);
      const from = Math.min(...answers.map((answer) => answer.from));
      const seconds = turns.length < 500 ? DRAIN / 1000 : (Math.max(...turns.map(({ left }) => left)) - from) / 1000;
      took.get(label(system)).push(seconds);
      const errors = answers.flatMap(({ error }) => error ?? [])[0] ?? '';
      say(`${label(system)}: ${turns.length} of 500 in ${seconds.toFixed(2)} s ${errors.slice(0, 120)}`);
    }
  const of = (system) => median(took.get(label(system)));
  for (const system of systems) row(`500 callers, ${label(system)}: drained in`, of(system), 's');
  const best = Math.min(...systems.slice(1).map(of));
  if (systems.length > 1) row('500 callers: the best peer over ours', best / of(systems[0]), 'x', '>= 5');
}

async function contend({ name, poll }, order) {
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

function label({ name, poll }) {
  return poll ? `${name} at ${poll} ms` : name;
}

/** Microseconds of CPU the server has used. */
function cpuOfServer() {
  const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Median milliseconds of an idle connection's uncontended pair, halved. */
async function roundTrip() {
  pair ??= await open('raw', server.url);
  const times = [];
  for (let i = 0; i < 300; i++) {
    const from = performance.now();
    await (
      await pair('trip')
    )();
    times.push((performance.now() - from) / 2);
  }
  return median(times);
}
