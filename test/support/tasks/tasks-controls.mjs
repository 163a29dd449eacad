// Controls: they remove one step of a script, to prove that a test detects a queue without that step.
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const SCRIPTS = '../../../libs/tasks/dist/streams/scripts.js';

/** Replaces some text of a script. */
async function change(name, from, to) {
  const script = (await import(SCRIPTS))[name];
  if (!script.source.includes(from)) throw new Error(`script ${name} does not contain: ${from}`);
  script.source = script.source.replace(from, to);
  script.run = (client, keys, args = []) => client.eval(script.source, keys.length, ...keys, ...args);
}

const CONTROLS = {
  'leases expire while Redis is unavailable': () =>
    change('BEAT', "now - (call('HGET', base, 'beat') or 0) > lease / 2", 'false'),
  async 'dead workers stay members'() {
    await change('BEAT', "call('HDEL', base, 'q:' .. each)", '');
    await change('BEAT', 'return { member and 1 or 0,', 'return { 1,');
  },
  async 'tasks of a lost reply are not repeated'() {
    await change('STEP', "string.find(letters, 'r', 1, true)", 'false');
    await change('STEP', 'last ~= answered', 'false');
  },
  'suspects never run alone': () => change('STEP', 'begun > 2 and 1 or math.min(COMPANY, most)', 'most'),
};

/** Call it before the queue is loaded. */
export async function control(name) {
  await CONTROLS[name]();
  if (!isMainThread) return;
  // The heartbeat thread loads the scripts again, so that it needs the same change.
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
