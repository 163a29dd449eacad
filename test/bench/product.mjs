// The product as a whole: start, memory, ingest with one and with three replicas, search. npm run bench -- product [--json] [--check]
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { api, cranfield, eventually, firstRun, startPostgres, startRedis, startReplicas } from '@yuxi/testing';
import { Pool } from 'pg';
import { startEmbedded } from './product/embedded.mjs';
import { busyShare } from './product/idle.mjs';
import { generalLimit } from './product/general-limit.mjs';
import { report } from './report.mjs';
import { memory as memoryOfApps } from './product/memory.mjs';
import { redisMemory } from './product/redis-memory.mjs';
import { prepareUpload } from './product/uploader.mjs';

const HELP =
  'Usage: npm run bench -- product [--start] [--limit] [--memory] [--ingest] [--heap MB] [--json] [--check] [--rounds N]\nWithout a part: all four. Ingest needs the Cranfield collection (see libs/testing).';
const PARTS = ['--start', '--limit', '--memory', '--ingest'];
const options = process.argv.slice(2);
if (options.includes('--help')) {
  console.log(HELP);
  process.exit(0);
}
/** Of the worker, in the part --memory. */
const heap = options.includes('--heap') ? Number(options[options.indexOf('--heap') + 1]) : undefined;
const rounds = Number(options[options.indexOf('--rounds') + 1]) || 3;
const say = (text) => console.error(`[product] ${text}`);
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const rssOf = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
/** Seconds of CPU a process has used since its start. */
const cpuOf = (pid) => {
  const [utime, stime] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).map(Number);
  return (utime + stime) / 100;
};
/** Jiffies that all cores were busy, and in all, since the machine started. */
const machine = () => {
  const [user, nice, system, idle, wait, irq, soft] = readFileSync('/proc/stat', 'utf8')
    .split(/\s+/)
    .slice(1, 8)
    .map(Number);
  const busy = user + nice + system + irq + soft;
  return { busy, all: busy + idle + wait };
};
const documents = cranfield.documents();

const redis = await startRedis({ password: 'bench' });
const postgres = await startPostgres();
const rows = [];
try {
  const only = (part) => !PARTS.some((each) => options.includes(each)) || options.includes(part);
  if (only('--start')) await start();
  if (only('--limit')) await limit();
  if (only('--memory')) await memoryByApp();
  if (only('--ingest')) await ingest();
} finally {
  await postgres.stop();
  await redis.stop();
}
report('product', rows, options);

async function start() {
  const database = await postgres.createDatabase();
  const times = [];
  const memory = [];
  for (let round = 0; round <= rounds; round++) {
    const from = performance.now();
    const [replica] = await startReplicas({ count: 1, redisUrl: redis.url, databaseUrl: database.url });
    // The first start also makes the schema.
    if (round > 0) times.push(performance.now() - from);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    memory.push(rssOf(replica.pid));
    await replica.stop();
    say(`start ${round}: ${Math.round(times.at(-1) ?? 0)} ms, idle ${Math.round(memory.at(-1))} MB`);
  }
  rows.push({ what: 'start to listening, PostgreSQL', value: median(times) / 1000, unit: 's', bar: '<= 2' });
  rows.push({ what: 'idle memory of a replica', value: median(memory), unit: 'MB', bar: '<= 160' });

  const folder = mkdtempSync(join(tmpdir(), 'yuxi-bench-'));
  const reopen = [];
  for (let round = 0; round <= rounds; round++) {
    const ms = await startEmbedded(folder);
    if (round > 0) reopen.push(ms);
    say(`PGlite start ${round}: ${Math.round(ms)} ms`);
  }
  rmSync(folder, { recursive: true });
  rows.push({ what: 'start to listening, PGlite reopened', value: median(reopen) / 1000, unit: 's', bar: '<= 3' });
}

async function limit() {
  const database = await postgres.createDatabase();
  const [replica] = await startReplicas({ count: 1, redisUrl: redis.url, databaseUrl: database.url });
  const { on, off } = await generalLimit(replica, cpuOf);
  await replica.stop();
  say(
    `GET /api/auth/me: ${on.map(Math.round).join(', ')} us with the limit, ${off.map(Math.round).join(', ')} us without`,
  );
  rows.push({ what: 'GET /api/auth/me without the general limit: CPU', value: median(off), unit: 'us' });
  rows.push({ what: 'what the general limit adds', value: median(on) - median(off), unit: 'us' });
}

async function memoryByApp() {
  const database = await postgres.createDatabase();
  for (const { app, phase, megabytes } of await memoryOfApps({
    redisUrl: redis.url,
    databaseUrl: database.url,
    heap,
    say,
  }))
    rows.push({ what: `memory of ${app}, ${phase}`, value: megabytes, unit: 'MB' });
  const { full, rewriting } = await redisMemory(say);
  rows.push({ what: 'memory of Redis, full', value: full, unit: 'MB' });
  rows.push({ what: 'memory of Redis, full and rewriting its file', value: rewriting, unit: 'MB' });
}

async function ingest() {
  const took = { 1: [], 3: [] };
  const idle = [];
  const latencies = [];
  const busy = [];
  // Interleaved, so that other load on the machine affects both equally.
  for (let round = 0; round < rounds; round++)
    for (const count of [1, 3]) {
      const run = await ingestOnce(count);
      took[count].push(run.seconds);
      if (count === 3) idle.push(run.idle);
      else busy.push(run.busy);
      latencies.push(...run.latencies);
      say(`${count} replica(s): ${run.seconds.toFixed(1)} s, most idle replica ${(run.idle * 100).toFixed(1)} %`);
    }
  rows.push({ what: 'ingest 1,398 files, 1 replica', value: median(took[1]), unit: 's' });
  rows.push({ what: 'ingest 1,398 files, 3 replicas', value: median(took[3]), unit: 's' });
  rows.push({ what: '3 replicas over 1', value: median(took[1]) / median(took[3]), unit: 'x', bar: '>= 1.2' });
  rows.push({ what: 'the most these cores allow: all / busy with 1 replica', value: 1 / median(busy), unit: 'x' });
  rows.push({ what: 'most idle replica while files wait', value: median(idle) * 100, unit: '%', bar: '<= 5' });
  latencies.sort((a, b) => a - b);
  rows.push({ what: 'search p50', value: latencies[Math.floor(latencies.length * 0.5)], unit: 'ms' });
  rows.push({ what: 'search p95', value: latencies[Math.floor(latencies.length * 0.95)], unit: 'ms', bar: '<= 20' });
}

async function ingestOnce(count) {
  const database = await postgres.createDatabase();
  const replicas = await startReplicas({ count, redisUrl: redis.url, databaseUrl: database.url });
  const pool = new Pool({ connectionString: database.url, max: 1 });
  try {
    const apis = replicas.map(({ baseUrl }) => api(baseUrl));
    const token = await firstRun(replicas[0].baseUrl);
    /** @type {(path: string, json: unknown) => Promise<{ body: { db_id: string, task_id: string } }>} */
    const post = (path, json) => apis[0].post(path, { json, token });
    const cpu = () => replicas.map(({ pid }) => cpuOf(pid));
    const ended = async (id) =>
      ['success', 'failed'].includes((await apis[0].get(`/api/tasks/${id}`, { token })).body.task.status);
    const ingestInto = async (database_name, upload) => {
      const { db_id } = (await post('/api/knowledge/databases', { database_name })).body;
      const file_ids = await upload(db_id);
      const uploaded = performance.now();
      const path = `/api/knowledge/databases/${db_id}/documents/index`;
      const { task_id } = (await post(path, { file_ids })).body;
      await eventually(() => ended(task_id), { timeout: 120_000, every: 100 });
      return { db_id, indexing: (performance.now() - uploaded) / 1000 };
    };
    // Fresh processes compile their code while they work: what is measured is a service that has been running.
    const baseUrls = replicas.map(({ baseUrl }) => baseUrl);
    await ingestInto('warm-up', prepareUpload(baseUrls, token, documents.slice(0, 300 * count)));
    const upload = prepareUpload(baseUrls, token, documents);
    const before = cpu();
    const busyBefore = machine();
    const from = performance.now();
    const { db_id, indexing } = await ingestInto('bench', upload);
    const seconds = (performance.now() - from) / 1000;
    const busyAfter = machine();
    const busy = (busyAfter.busy - busyBefore.busy) / (busyAfter.all - busyBefore.all);
    const used = cpu().map((value, i) => (value - before[i]).toFixed(1));
    say(`indexing took ${indexing.toFixed(1)} s of ${seconds.toFixed(1)} s, CPU of the replicas ${used.join(' + ')} s`);

    const latencies = [];
    if (count === 3)
      for (const { text } of cranfield.queries()) {
        const asked = performance.now();
        await post(`/api/knowledge/databases/${db_id}/query`, { query: text });
        latencies.push(performance.now() - asked);
      }
    if (count === 3)
      say(`search p95 ${latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.95)].toFixed(1)} ms`);
    return { seconds, busy, latencies, idle: 1 - (await busyShare(pool, count, db_id)) };
  } finally {
    await pool.end();
    await Promise.all(replicas.map((replica) => replica.stop()));
    await database.drop();
  }
}
