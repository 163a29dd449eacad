// Times of keyword, vector and hybrid searches in a knowledge base of 50,000 chunks. Also the recall of the vector index compared with the exact answer.
// Vectors are those of the offline model for edited Cranfield sentences, and random ones, the most difficult case.
//
// npm run bench -- vectors [--json] [--check] [--chunks N]
import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EmbeddingCacheModule } from '@yuxi/cache';
import { SQL_CLIENT } from '@yuxi/core';
import { EmbeddingModule, hashedVector } from '@yuxi/embedding';
import {
  DatabasesService,
  FileProcessor,
  FilesService,
  KnowledgeModule,
  SearchService,
  VectorUpkeep,
} from '@yuxi/knowledge';
import { LockModule } from '@yuxi/lock';
import { RedisModule } from '@yuxi/redis';
import { SagaModule, sagaMigrations } from '@yuxi/saga';
import { StorageModule } from '@yuxi/storage';
import { TasksModule, tasksMigrations } from '@yuxi/tasks';
import { cranfield, seededRandom, startPostgres } from '@yuxi/testing';
import { report } from './report.mjs';
import { exactly, randomUnits, recallOf, textOf } from './vectors/truth.mjs';

const options = process.argv.slice(2);
if (options.includes('--help')) {
  console.log(
    'Usage: npm run bench -- vectors [--json] [--check] [--chunks N]\nNeeds the Cranfield collection (see libs/testing) and pgvector.',
  );
  process.exit(0);
}
const CHUNKS = Number(options.includes('--chunks') ? options[options.indexOf('--chunks') + 1] : 50_000);
const DIMENSIONS = 384;
const TOP = 10;
const PER_FILE = 250;
const say = (text) => console.error(`[vectors] ${text}`);
const random = seededRandom(7);
const at = (values, share) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)];

const server = await startPostgres({ settings: { shared_buffers: '512MB', maintenance_work_mem: '256MB' } });
const { url } = await server.createDatabase();
function App() {}
Module({
  imports: [
    RedisModule.forRoot(),
    StorageModule.forRoot({ databaseUrl: url, migrations: [...tasksMigrations, ...sagaMigrations] }),
    LockModule.forRoot(),
    TasksModule.forRoot({ worker: false }),
    SagaModule.forRoot(),
    EmbeddingCacheModule.forRoot(),
    EmbeddingModule.forRoot(),
    KnowledgeModule,
  ],
})(App);
const app = await NestFactory.createApplicationContext(App, { logger: ['warn', 'error'] });
const sql = app.get(SQL_CLIENT);
const rows = [];
try {
  const owner = await newOwner();
  const base = await fill(owner);
  await searches(owner, base);
  await recall(
    'text',
    base.kbId,
    await vectorsOf(base.kbId),
    cranfield.queries().map(({ text }) => hashedVector(text, DIMENSIONS)),
  );
  await randomVectors(base.kbId);
} finally {
  await app.close();
  await server.stop();
}
report('vectors', rows, options);

async function newOwner() {
  const { rows: users } = await sql.query(
    `INSERT INTO users (user_id, username, password_hash, role) VALUES ('bench', 'bench', '-', 'user') RETURNING id`,
  );
  return { id: users[0].id, role: 'user', departmentId: null };
}

/** Sentences of Cranfield, repeated with random replacements of words, so that all chunks differ. */
function* sentences() {
  const all = cranfield.documents().flatMap(({ text }) => text.split(/(?<=\.)\s+/).filter((each) => each.length > 60));
  const words = all.flatMap((each) => each.split(' ').slice(0, 3));
  const word = () => words[Math.floor(random() * words.length)];
  for (;;)
    for (const sentence of all)
      yield sentence
        .split(' ')
        .map((each) => (random() < 0.15 ? word() : each))
        .join(' ');
}

async function fill(owner) {
  const { db_id: dbId } = await app.get(DatabasesService).create(owner, { database_name: 'bench' });
  const source = sentences();
  const { signal } = new AbortController();
  const start = performance.now();
  let chunks = 0;
  for (let file = 0; chunks < CHUNKS; file++) {
    const text = Array.from({ length: PER_FILE }, () => source.next().value).join('\n\n');
    const { file_id: fileId } = await app.get(FilesService).upload(owner, dbId, `${file}.txt`, Buffer.from(text));
    const result = await app
      .get(FileProcessor)
      .process(
        { dbId, fileId, goal: 'indexed', params: { chunk_size: 48 }, force: false },
        { signal, progress: () => undefined },
      );
    chunks += result.chunks;
    if (file % 20 === 0) say(`${chunks} of ${CHUNKS} chunks`);
  }
  const seconds = (performance.now() - start) / 1000;
  rows.push({ what: 'chunks of the knowledge base', value: chunks, unit: '' });
  rows.push({ what: 'indexed, words and vectors', value: chunks / seconds, unit: '/s' });
  const { rows: found } = await sql.query('SELECT id FROM databases WHERE db_id = $1', [dbId]);
  return { dbId, kbId: found[0].id };
}

async function searches(owner, { dbId }) {
  const built = performance.now();
  await sql.query('VACUUM ANALYZE');
  await app.get(VectorUpkeep).buildIndexes();
  rows.push({ what: 'index of vectors built', value: (performance.now() - built) / 1000, unit: 's' });
  const bars = { keyword: '<= 30', vector: '<= 10', hybrid: '<= 60' };
  const questions = cranfield.queries().map(({ text }) => text);
  const times = { keyword: [], vector: [], hybrid: [] };
  const ask = (mode, text) => app.get(SearchService).query(owner, dbId, text, { search_mode: mode });
  for (const text of questions.slice(0, 20)) for (const mode of Object.keys(times)) await ask(mode, text);
  await pause(500);
  for (const text of questions)
    for (const mode of Object.keys(times)) {
      const start = performance.now();
      await ask(mode, text);
      times[mode].push(performance.now() - start);
    }
  for (const [mode, values] of Object.entries(times)) {
    rows.push({ what: `${mode} search, p50`, value: at(values, 0.5), unit: 'ms' });
    rows.push({ what: `${mode} search, p95`, value: at(values, 0.95), unit: 'ms', bar: bars[mode] });
  }
}

async function vectorsOf(kbId) {
  const { rows: chunks } = await sql.query('SELECT id, content FROM chunks WHERE kb_id = $1 ORDER BY id', [kbId]);
  return { ids: chunks.map(({ id }) => id), vectors: chunks.map(({ content }) => hashedVector(content, DIMENSIONS)) };
}

/** Compares the statement of a vector search with one that compares all vectors. */
async function recall(what, kbId, { ids, vectors }, questions) {
  const { rows: found } = await sql.query('SELECT index_generation AS g FROM databases WHERE id = $1', [kbId]);
  const distance = `embedding::halfvec(${DIMENSIONS}) <#> $1::halfvec(${DIMENSIONS})`;
  const where = `kb_id = ${kbId} AND generation = ${found[0].g}`;
  const nearest = `SELECT chunk_id FROM chunk_vectors WHERE ${where} ORDER BY ${distance} LIMIT ${TOP}`;
  const all = `SELECT chunk_id FROM chunk_vectors WHERE ${where} ORDER BY (${distance}) + 0 LIMIT ${TOP}`;
  const truth = exactly(vectors, questions, TOP);
  const byId = new Map(ids.map((id, i) => [id, i]));
  for (const [how, text] of Object.entries({ 'as searched': nearest, 'all compared': all })) {
    const times = [];
    let hits = 0;
    for (const [i, question] of questions.entries()) {
      const start = performance.now();
      const { rows: answer } = await sql.query(text, [textOf(question)], { plan: 'each' });
      times.push(performance.now() - start);
      hits += recallOf(
        truth[i],
        answer.map(({ chunk_id }) => byId.get(chunk_id)),
        question,
        vectors,
      );
    }
    const bars = how === 'as searched' ? ['<= 10', '>= 0.95'] : [];
    rows.push({ what: `${what}, ${how}: p50`, value: at(times, 0.5), unit: 'ms' });
    rows.push({ what: `${what}, ${how}: p95`, value: at(times, 0.95), unit: 'ms', bar: bars[0] });
    rows.push({ what: `${what}, ${how}: recall@10`, value: hits / questions.length, unit: '', bar: bars[1] });
  }
}

/** Replaces the vectors of the chunks by random ones, and uses random questions. */
async function randomVectors(kbId) {
  say('random vectors');
  const { rows: chunks } = await sql.query('SELECT id FROM chunks WHERE kb_id = $1 ORDER BY id', [kbId]);
  const ids = chunks.map(({ id }) => id);
  const vectors = randomUnits(ids.length, DIMENSIONS, random);
  await sql.query(`DROP INDEX CONCURRENTLY IF EXISTS chunk_vectors_kb${kbId}_g1`);
  for (let from = 0; from < ids.length; from += 500)
    await sql.query(
      `UPDATE chunk_vectors v SET embedding = u.e::halfvec FROM unnest($1::bigint[], $2::text[]) u (id, e) WHERE v.chunk_id = u.id`,
      [ids.slice(from, from + 500), vectors.slice(from, from + 500).map(textOf)],
    );
  await sql.query('UPDATE index_generations SET has_index = false WHERE kb_id = $1', [kbId]);
  await sql.query('VACUUM FULL ANALYZE chunk_vectors');
  await app.get(VectorUpkeep).buildIndexes();
  await recall('random', kbId, { ids, vectors }, randomUnits(60, DIMENSIONS, random));
}
