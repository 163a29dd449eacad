import { Worker } from 'node:worker_threads';
import { TestEnvironment } from 'jest-environment-node';
import { runFolders } from './run-folder.mjs';

/** A blocked event loop cannot time out its own test; longer than Jest's own limit for a test that waits. */
const BLOCKED_AFTER = 40_000;

/** Watches the event loop of this process; one for all test files that run in it. */
let watchdog;

/** Node's environment, which also shows what the servers of a failed test wrote, and ends a test that blocks the event loop. */
export default class ServerEnvironment extends TestEnvironment {
  #file;

  constructor(config, context) {
    super(config, context);
    this.#file = context.testPath;
  }

  async setup() {
    await super.setup();
    watchdog ??= await Watchdog.start();
    watchdog.runs(this.#file);
  }

  async teardown() {
    watchdog?.runs(undefined);
    await super.teardown();
  }

  handleTestEvent(event) {
    if (event.name === 'test_start') watchdog?.runs(`${fullName(event.test)} (${this.#file})`);
    if (event.name === 'test_fn_failure' || event.name === 'hook_failure') this.#showServers(event);
  }

  /** Adds the last lines of each running replica to the failure, as they are now, before a hook ends it. */
  #showServers({ test }) {
    const shown = [...(this.global[Symbol.for('yuxi.running')] ?? [])].map((lastLines) => lastLines());
    if (!test || shown.length === 0) return;
    const text = `What the servers of this test wrote last:\n${shown.join('\n')}`;
    test.errors.push(Object.assign(new Error(text), { stack: text }));
  }
}

function fullName(test) {
  const names = [];
  for (let block = test; block?.parent; block = block.parent) names.unshift(block.name);
  return names.join(' ');
}

class Watchdog {
  #beat;
  #thread;

  static async start() {
    const { RUN_FOLDER_VARIABLE } = await runFolders();
    const dog = new Watchdog();
    dog.#beat = new Int32Array(new SharedArrayBuffer(4));
    dog.#thread = new Worker(new URL('./watchdog.mjs', import.meta.url), {
      workerData: {
        beat: dog.#beat,
        blockedAfter: BLOCKED_AFTER,
        // Without a parent this is Jest's only process: nobody else would clean up.
        folder: process.send ? undefined : process.env[RUN_FOLDER_VARIABLE],
      },
    });
    dog.#thread.unref();
    setInterval(() => Atomics.add(dog.#beat, 0, 1), 500).unref();
    return dog;
  }

  /** @param what name of the running test or file; undefined between files */
  runs(what) {
    this.#thread.postMessage(what, []);
  }
}
