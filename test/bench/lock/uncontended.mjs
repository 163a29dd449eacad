import { cpuOf, median } from '../measure.mjs';
import { OURS } from './ours.mjs';
import { commandsSent, open } from './peers.mjs';

/** How long one lock is measured before the next one, milliseconds. */
const SLICE = 700;
const BARS = { 1: { commands: '<= 2', cpu: '<= 1.15' }, 64: { rate: '>= 1', cpu: '<= 1' } };

/** Pairs of acquire and release without competition, `width` of them in flight, each with its own name. */
export const uncontended =
  (width) =>
  async ({ server, rounds, peers, row }) => {
    const systems = ['raw', OURS, ...peers.map(({ name }) => name)];
    const opened = new Map();
    for (const name of systems) opened.set(name, await open(name, server.url));
    const results = new Map(systems.map((name) => [name, []]));
    // The first round is not measured, because the JIT compiler runs in it.
    for (let round = 0; round <= rounds; round++)
      for (const [name, acquire] of opened) {
        const result = await slice(acquire, width, `${name} ${width}`, server.pid);
        if (round > 0) results.get(name).push(result);
      }
    const of = (name, field) => median(results.get(name).map((result) => result[field]));
    const what = width === 1 ? 'one at a time' : `${width} in flight`;
    for (const name of systems) {
      const bar = (field) => (name === OURS ? BARS[width][field] : undefined);
      row(`${what}, ${name}: pairs`, of(name, 'rate'), '/s');
      row(`${what}, ${name}: pairs over raw`, of(name, 'rate') / of('raw', 'rate'), 'x', bar('rate'));
      row(`${what}, ${name}: CPU of client + server`, of(name, 'client') + of(name, 'redis'), 'us');
      row(`${what}, ${name}: of that the server`, of(name, 'redis'), 'us');
      row(`${what}, ${name}: CPU over raw`, of(name, 'cpu') / of('raw', 'cpu'), 'x', bar('cpu'));
      row(`${what}, ${name}: commands a pair`, of(name, 'commands'), '', bar('commands'));
    }
  };

async function slice(acquire, width, name, serverPid) {
  const [cpuBefore, serverBefore, sentBefore] = [process.cpuUsage(), cpuOf(serverPid), commandsSent()];
  const from = performance.now();
  let pairs = 0;
  const loop = async (_, i) => {
    for (; performance.now() - from < SLICE; pairs++) await (await acquire(`${name} ${i}`))();
  };
  await Promise.all(Array.from({ length: width }, loop));
  const seconds = (performance.now() - from) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const client = (user + system) / pairs;
  const redis = (cpuOf(serverPid) - serverBefore) / pairs;
  return { rate: pairs / seconds, client, redis, cpu: client + redis, commands: (commandsSent() - sentBefore) / pairs };
}
