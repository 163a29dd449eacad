import { Worker } from 'node:worker_threads';
import { TestEnvironment } from 'jest-environment-node';
import { runFolders } from './run-folder.mjs';

/** Longer than Jest's timeout of a test, which does not work while the event loop is blocked. */
const BLOCKED_AFTER = 40_000;

/** Watches the event loop of this process, for all test files that run in it. */
let watchdog;

/** The Node environment of Jest. Also shows the last lines of the servers of a failed test, and ends a test that blocks the event loop. */
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

  /** Adds the last lines of each running replica to the failure, before a hook ends the replica. */
  #showServers({ test }) {
    const shown = [...(this.global[Symbol.for('yuxi.running')] ?? [])].map((lastLines) => lastLines());
    if (!test || shown.length === 0) return;
    const text = `Last lines of the servers of this test:\n${shown.join('\n')}`;
    test.errors.push(Object.assign(new Error(text), { stack: text }));
  }
}

function fullName(test) {
  const names = [];
  for (let block = test; block?.parent; block = block.parent) names.unshift(block.name);
  return names.join(' ');
}

class Watchdog {
  #counter;
  #thread;

  static async start() {
    const { RUN_FOLDER_VARIABLE } = await runFolders();
    const dog = new Watchdog();
    dog.#counter = new Int32Array(new SharedArrayBuffer(4));
    dog.#thread = new Worker(new URL('./watchdog.mjs', import.meta.url), {
      workerData: {
        counter: dog.#counter,
        blockedAfter: BLOCKED_AFTER,
        // Without a parent this is Jest's only process, and must clean up itself.
        folder: process.send ? undefined : process.env[RUN_FOLDER_VARIABLE],
      },
    });
    dog.#thread.unref();
    setInterval(() => Atomics.add(dog.#counter, 0, 1), 500).unref();
    return dog;
  }

  /** @param what name of the running test or file; undefined between files */
  runs(what) {
    this.#thread.postMessage(what, []);
  }
}
