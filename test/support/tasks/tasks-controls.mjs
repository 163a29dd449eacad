// Steps of the queue that are left out, to see that a test notices: what a queue without that step would do.
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const SCRIPTS = '../../../libs/tasks/dist/streams/scripts.js';

/** A script without some of its text. */
async function change(name, from, to) {
  const script = (await import(SCRIPTS))[name];
  if (!script.source.includes(from)) throw new Error(`script ${name} does not hold: ${from}`);
  script.source = script.source.replace(from, to);
  script.run = (client, keys, args = []) => client.eval(script.source, keys.length, ...keys, ...args);
}

const CONTROLS = {
  'leases run out while Redis is away': () =>
    change('BEAT', "now - (call('HGET', base, 'beat') or 0) > lease / 2", 'false'),
  async 'the dead may go on'() {
    await change('BEAT', "call('HDEL', base, 'q:' .. each)", '');
    await change('BEAT', 'return { member and 1 or 0,', 'return { 1,');
  },
  async 'nobody asks what a lost answer held'() {
    await change('STEP', "string.find(letters, 'r', 1, true)", 'false');
    await change('STEP', 'last ~= answered', 'false');
  },
  'suspects have company to the end': () => change('STEP', 'begun > 2 and 1 or math.min(COMPANY, most)', 'most'),
};

/** Call it before the queue is loaded. */
export async function control(name) {
  await CONTROLS[name]();
  if (!isMainThread) return;
  // The beats have a thread of their own, which must hear of it too.
  const threads = createRequire(import.meta.url)('node:worker_threads');
  const { Worker } = threads;
  threads.Worker = class extends Worker {
    constructor(file, options) {
      const data = { ...options.workerData, control: name, file };
      super(new URL('./tasks-control-thread.mjs', import.meta.url), { ...options, workerData: data });
    }
  };
  syncBuiltinESMExports();
}
