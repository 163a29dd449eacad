import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  api,
  firstRun,
  madeCorpus,
  WorkerProcess,
  type Replica,
  startReplicas,
  temporaryFolder,
  upload,
} from '@yuxi/testing';
import { createKnowledgeBase, startFleet } from '../fleet.js';
import { tasksEnded } from '../tasks/tasks.js';
import { requestIndex } from '../knowledge/made-files.js';

export type Setup = 'embedded' | 'three replicas';

/** Measurements during some work, milliseconds. */
export interface Watched {
  /** Longest time that the event loop of a replica was blocked, and the part of it without a processor. */
  block: number;
  blockWaited: number;
  liveP99: number;
  liveLongest: number;
  searchP99: number;
  /** Probes and searches with another status than 200. */
  failures: string[];
}

/** Milliseconds of searches without other load, measured first. */
const IDLE = 5000;
const BASE = 60;
const PROBE = new URL('./loop-probe.mjs', import.meta.url).href;
const WATCHER = fileURLToPath(new URL('./watcher.mjs', import.meta.url));

interface Block {
  at: number;
  held: number;
  waited: number;
}

/** The product with a small knowledge base, under continuous searches and liveness probes. */
export class WatchedSystem {
  private constructor(
    readonly baseUrls: readonly string[],
    readonly token: string,
    readonly idle: Watched,
    private readonly watcher: WorkerProcess,
    private readonly probes: readonly string[],
    private readonly end: () => Promise<void>,
  ) {}

  static async start(setup: Setup): Promise<WatchedSystem> {
    const folder = temporaryFolder('loop-probe');
    const probes: string[] = [];
    const env = (index: number) => {
      const file = join(folder, `${index}`);
      writeFileSync(file, '');
      probes[index] = file;
      // A control also preloads a module.
      const options = process.env['YUXI_MUTANT'] ? (process.env['NODE_OPTIONS'] ?? '') : '';
      return { LOOP_PROBE_FILE: file, NODE_OPTIONS: `${options} --import=${PROBE}` };
    };
    const { replicas, token, stop } = await (setup === 'embedded' ? startEmbedded(env) : startFleet({ env }));
    const watcher = new WorkerProcess(WATCHER);
    const end = async () => {
      await watcher.kill();
      await stop();
    };
    try {
      const apis = replicas.map(({ baseUrl }) => api(baseUrl));
      const dbId = await createKnowledgeBase(apis[0]!, token, 'searched');
      const documents = madeCorpus.documents().filter((each) => each.text !== '');
      const { fileIds } = await upload(apis, token, dbId, documents.slice(0, BASE));
      await tasksEnded(apis[0]!, token, [await requestIndex(apis[0]!, token, dbId, [...fileIds.values()])], 120_000);
      const baseUrls = replicas.map(({ baseUrl }) => baseUrl);
      await watcher.call('start', { baseUrls, token, dbId, questions: madeCorpus.questions().slice(0, 40) });
      const from = Date.now();
      await pause(IDLE);
      const idle = await seenSince(from, watcher, probes);
      return new WatchedSystem(baseUrls, token, idle, watcher, probes, end);
    } catch (error) {
      await end();
      throw error;
    }
  }

  async during<T>(work: () => Promise<T>): Promise<Watched & { result: T }> {
    await this.watcher.call('take');
    const from = Date.now();
    const result = await work();
    return { result, ...(await seenSince(from, this.watcher, this.probes)) };
  }

  stop(): Promise<void> {
    return this.end();
  }
}

async function startEmbedded(
  env: (index: number) => Record<string, string>,
): Promise<{ replicas: Replica[]; token: string; stop: () => Promise<void> }> {
  const [replica] = await startReplicas({ count: 1, env });
  return {
    replicas: [replica!],
    token: await firstRun(replica!.baseUrl),
    stop: async () => {
      await replica!.stop();
    },
  };
}

async function seenSince(from: number, watcher: WorkerProcess, probes: readonly string[]): Promise<Watched> {
  const { live, search, failures } = (await watcher.call('take')) as Record<'live' | 'search', number[]> & {
    failures: string[];
  };
  const longest = probes
    .flatMap((file) => readFileSync(file, 'utf8').trim().split('\n'))
    .map((line): Block => {
      const [at = 0, held = 0, waited = 0] = line.split(' ').map(Number);
      return { at, held, waited };
    })
    .filter(({ at }) => at >= from)
    .reduce((most, each) => (each.held > most.held ? each : most), { at: 0, held: 0, waited: 0 });
  return {
    block: longest.held,
    blockWaited: longest.waited,
    liveP99: percentile(live, 0.99),
    liveLongest: Math.max(0, ...live),
    searchP99: percentile(search, 0.99),
    failures,
  };
}

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? 0;
}
