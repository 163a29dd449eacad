// Other queues behind one interface: add, addMany, work(concurrency, run) -> stop, close.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { installPeersIn } from '../install-peers.mjs';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);

/** Installs the peers when they are missing. */
export const installPeers = () => installPeersIn(FOLDER, 'tasks');

export const PEERS = {
  /** Its fastest setting: tasks that have ended are not kept. */
  bullmq: async (url) => {
    const { Queue, Worker } = require('bullmq');
    const connection = { url, maxRetriesPerRequest: null };
    const defaultJobOptions = { removeOnComplete: true, removeOnFail: true };
    const queue = new Queue('work', { connection, defaultJobOptions });
    await queue.waitUntilReady();
    return {
      add: (payload) => queue.add('work', payload),
      addMany: (payloads) => queue.addBulk(payloads.map((data) => ({ name: 'work', data }))),
      async work(concurrency, run) {
        const worker = new Worker('work', (job) => run(job.data), { connection, concurrency });
        await worker.waitUntilReady();
        return () => worker.close();
      },
      close: () => queue.close(),
    };
  },
  /** Its fastest setting: no events, no stored jobs. */
  'bee-queue': async (url) => {
    const Queue = require('bee-queue');
    const { hostname: host, port } = new URL(url);
    const settings = {
      redis: { host, port: Number(port) },
      storeJobs: false,
      sendEvents: false,
      getEvents: false,
      removeOnSuccess: true,
      removeOnFailure: true,
    };
    const queue = new Queue('work', { ...settings, isWorker: false });
    await queue.ready();
    return {
      add: (payload) => queue.createJob(payload).save(),
      addMany: (payloads) => queue.saveAll(payloads.map((payload) => queue.createJob(payload))),
      async work(concurrency, run) {
        const worker = new Queue('work', settings);
        await worker.ready();
        worker.process(concurrency, async (job) => run(job.data));
        return () => worker.close(1000);
      },
      close: () => queue.close(1000),
    };
  },
};

export const availablePeers = () =>
  Object.keys(PEERS).filter((name) => existsSync(`${FOLDER}node_modules/${name}/package.json`));
