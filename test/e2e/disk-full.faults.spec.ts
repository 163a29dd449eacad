import { randomBytes } from 'node:crypto';
import { chownSync, statSync } from 'node:fs';
import { get } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  api,
  type ApiClient,
  eventually,
  firstRun,
  FIRST_ADMINISTRATOR,
  form,
  type PostgresServer,
  type RedisServer,
  type Replica,
  reportSkip,
  startPostgres,
  startRedis,
  startReplicas,
} from '@yuxi/testing';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { Load } from '../support/api/load.js';
import type { Ready } from '../support/api/readiness.js';
import { createKnowledgeBase } from '../support/fleet.js';
import { size } from '../support/size.js';
import { MB, SmallDisk } from '../support/small-disk.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const MINUTES = 60_000;
const UPLOADS = size(30, 120);
const CONCURRENCY = 6;
/** Longest time until uploads are accepted again after files were deleted. */
const AVAILABLE_WITHIN_MS = 10_000;
const NO_MOUNT = 'no file system can be mounted here';

interface Answer {
  status: number;
  code?: string;
  retryAfter: string | null;
  /** Id of the file, when the upload was accepted. */
  fileId?: string;
}

/** An administrator and a knowledge base of a replica whose storage becomes full. */
class Site {
  readonly client: ApiClient;
  readonly kept: string[] = [];
  #count = 0;

  private constructor(
    readonly replica: Replica,
    readonly token: string,
    readonly dbId: string,
  ) {
    this.client = api(replica.baseUrl);
  }

  static async make(replica: Replica): Promise<Site> {
    const token = await firstRun(replica.baseUrl);
    return new Site(replica, token, await createKnowledgeBase(api(replica.baseUrl), token, 'disk'));
  }

  get base(): string {
    return `/api/knowledge/databases/${this.dbId}`;
  }

  async upload(bytes = MB / 2): Promise<Answer> {
    // Text that cannot be compressed.
    const text = `Swallow ${++this.#count}: ${randomBytes(bytes).toString('base64')}`;
    const { status, headers, body } = await this.client.post<{ code?: string; file_id: string }>(
      `/api/knowledge/files/upload?db_id=${this.dbId}`,
      { multipart: form(`swallow-${this.#count}.txt`, text), token: this.token },
    );
    if (status < 300) this.kept.push(body.file_id);
    return { status, code: body.code, retryAfter: headers.get('retry-after'), fileId: body.file_id };
  }

  /** Several at the same time. */
  async uploads(count: number): Promise<Answer[]> {
    const answers: Answer[] = [];
    let left = count;
    const uploadNext = async () => {
      while (left-- > 0) answers.push(await this.upload());
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, uploadNext));
    return answers;
  }

  index(fileId: string) {
    const json = { file_ids: [fileId] };
    return this.client.post<{ code?: string; task_id: string }>(`${this.base}/documents/index`, {
      json,
      token: this.token,
    });
  }

  async login(): Promise<number> {
    const { user_id: username, password } = FIRST_ADMINISTRATOR;
    return (await this.client.post('/api/auth/token', { json: { username, password } })).status;
  }

  async search(): Promise<number> {
    return (await this.client.post(`${this.base}/query`, { json: { query: 'swallow' }, token: this.token })).status;
  }

  async read(fileId: string): Promise<number> {
    return (await this.client.get(`${this.base}/documents/${fileId}/download`, { token: this.token })).status;
  }

  async remove(fileId: string): Promise<number> {
    const { status } = await this.client.del(`${this.base}/documents/${fileId}`, { token: this.token });
    if (status < 300) this.kept.splice(this.kept.indexOf(fileId), 1);
    return status;
  }

  /** Readiness, as `<status> <state of the component>`. */
  async ready(component: string): Promise<string> {
    const { status, body } = await this.client.get<Ready>('/health/ready');
    return `${status} ${body.details[component]?.state ?? body.details[component]?.status}`;
  }

  /** Accepted uploads that cannot be read. */
  async lost(): Promise<string[]> {
    const found = await Promise.all(this.kept.map(async (id) => ((await this.read(id)) === 200 ? [] : [id])));
    return found.flat();
  }

  /** Waits until an upload is accepted again. */
  async untilAccepted(): Promise<void> {
    await eventually(async () => expect((await this.upload()).status).toBe(201), {
      timeout: AVAILABLE_WITHIN_MS,
      every: 100,
    });
  }
}

/** Uses a new connection, because the server closes a connection on which it refused an upload. */
async function alive({ baseUrl }: Replica): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    get(`${baseUrl}/health/live`, { agent: false, timeout: 5000 }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: null }));
    })
      .on('timeout', () => reject(new Error('no answer within 5 s')))
      .on('error', reject);
  });
}

/** Answers that are none of: accepted, 507 `STORAGE_FULL`, and 503 with `Retry-After`. */
function unexpected(answers: Answer[]): Answer[] {
  return answers.filter(
    ({ status, code, retryAfter }) =>
      status !== 201 && !(status === 507 && code === 'STORAGE_FULL') && !(status === 503 && retryAfter !== null),
  );
}

const refused = (answers: Answer[]) => answers.filter(({ status }) => status === 507).length;

describe('a full disk', () => {
  let disk: SmallDisk | undefined;
  let temporary: SmallDisk | undefined;
  let replica: Replica | undefined;
  let load: Load | undefined;
  afterEach(async () => {
    disk?.makeRoom();
    await load?.stop();
    await replica?.kill();
    disk?.remove();
    temporary?.remove();
    disk = temporary = replica = load = undefined;
  }, MINUTES);

  function watchLive(site: Site): Load {
    load = new Load();
    load.run('live', 50, () => alive(site.replica));
    return load;
  }

  it(
    'under the embedded database: uploads answer 507, all else works, and uploads work again within 10 s after files were deleted',
    async () => {
      disk = SmallDisk.make(size(300, 400));
      if (!disk) return reportSkip('full disks', NO_MOUNT);
      [replica] = await startReplicas({
        count: 1,
        databaseUrl: '',
        env: { YUXI_DATA_DIR: disk.folder },
        readyWithin: 2 * MINUTES,
      });
      const site = await Site.make(replica!);
      const live = watchLive(site);
      expect((await site.uploads(6)).filter(({ status }) => status !== 201)).toEqual([]);
      const [first, second, third] = site.kept as [string, string, string];

      // The uploads fill the disk.
      disk.fill(90);
      const filling = await site.uploads(UPLOADS);
      expect(unexpected(filling)).toEqual([]);
      expect(refused(filling)).toBeGreaterThan(0);

      // Another file takes the rest.
      disk.fill(40);
      const full = await site.uploads(CONCURRENCY);
      expect(full.map(({ status, code }) => `${status} ${code}`)).toEqual(full.map(() => '507 STORAGE_FULL'));
      const index = await site.index(second);
      expect([index.status, index.body.code]).toEqual([507, 'STORAGE_FULL']);
      await eventually(async () => expect(await site.ready('storage')).toBe('200 disk_full'), { timeout: 5000 });
      expect([await site.login(), await site.search(), await site.read(first), await site.remove(third)]).toEqual([
        200, 200, 200, 200,
      ]);

      // The disk becomes full during writes.
      disk.makeRoom();
      await site.untilAccepted();
      const concurrent = site.uploads(UPLOADS);
      await eventually(() => expect(site.kept.length).toBeGreaterThan(8));
      disk.fill(0);
      const results = await concurrent;
      expect(unexpected(results)).toEqual([]);
      disk.makeRoom();
      await site.untilAccepted();
      await eventually(async () => expect(await site.ready('storage')).toBe('200 up'), {
        timeout: AVAILABLE_WITHIN_MS,
      });
      expect(await site.lost()).toEqual([]);
      const again = await site.index(second);
      expect(again.status).toBe(202);
      const tasks = await tasksEnded(site.client, site.token, [again.body.task_id], MINUTES);
      expect(tasks.map(({ status }) => status)).toEqual(['success']);

      disk.fill(0);
      await load!.stop();
      expect(live.failed()).toEqual([]);
      expect(await replica!.stop()).toBe(0);
      await expect(replica!.restart()).rejects.toThrow('MB are needed to start');
      disk.makeRoom();
      await replica!.restart();
      expect(await site.lost()).toEqual([]);
      console.info(
        `embedded: ${filling.length + full.length + results.length} uploads, ${site.kept.length} kept, ` +
          `${refused([...filling, ...full, ...results])} answered 507, ${live.sent.length} of liveness answered`,
      );
    },
    5 * MINUTES,
  );

  it(
    'under PostgreSQL: uploads answer 507, all else works, and uploads work again within 10 s after files were deleted',
    async () => {
      disk = SmallDisk.make(size(60, 120));
      if (!disk) return reportSkip('full disks', NO_MOUNT);
      const server = await startPostgres();
      try {
        temporary = SmallDisk.make(8)!;
        [replica] = await startReplicas({
          count: 1,
          databaseUrl: await databaseOn(disk, server),
          env: { TMPDIR: temporary.folder },
        });
        const site = await Site.make(replica!);
        const live = watchLive(site);
        await site.uploads(6);
        const [first, second] = site.kept as [string, string];
        expect(
          (await tasksEnded(site.client, site.token, [(await site.index(first)).body.task_id], MINUTES))[0]?.status,
        ).toBe('success');
        disk.fill(8);
        const full = await site.uploads(UPLOADS);
        expect(unexpected(full)).toEqual([]);
        expect(refused(full)).toBeGreaterThan(0);
        await eventually(async () => expect(await site.ready('storage')).toBe('200 disk_full'), { timeout: 5000 });
        expect([await site.search(), await site.read(first), await site.remove(second)]).toEqual([200, 200, 200]);
        disk.makeRoom();
        await site.untilAccepted();
        await eventually(async () => expect(await site.ready('storage')).toBe('200 up'), {
          timeout: 2 * AVAILABLE_WITHIN_MS,
        });
        expect(await site.lost()).toEqual([]);
        // An upload is in the folder for temporary files until it is complete.
        temporary.fill(0);
        expect(await site.upload(2 * MB)).toMatchObject({ status: 507, code: 'STORAGE_FULL' });
        temporary.makeRoom();
        expect(await site.upload(2 * MB)).toMatchObject({ status: 201 });
        await load!.stop();
        expect(live.failed()).toEqual([]);
        expect(await replica!.stop()).toBe(0);
        console.info(`PostgreSQL: ${full.length} uploads, ${refused(full)} answered 507, ${site.kept.length} kept`);
      } finally {
        await replica?.kill();
        await server.stop();
      }
    },
    5 * MINUTES,
  );
});

/** @returns URL of a database with its tables on the disk */
async function databaseOn(disk: SmallDisk, server: PostgresServer): Promise<string> {
  const admin = new Client({ connectionString: server.url });
  await admin.connect();
  try {
    const { rows } = await admin.query<{ data_directory: string }>('SHOW data_directory');
    const { uid, gid } = statSync(rows[0]!.data_directory);
    chownSync(disk.folder, uid, gid);
    await admin.query(`CREATE TABLESPACE small LOCATION '${disk.folder}'`);
    await admin.query('CREATE DATABASE small TABLESPACE small');
  } finally {
    await admin.end();
  }
  return server.url.replace(/[^/]+$/, 'small');
}

describe('a Redis at its maxmemory', () => {
  let server: PostgresServer;
  let redis: RedisServer;
  let replica: Replica;
  let site: Site;
  beforeAll(async () => {
    server = await startPostgres();
    redis = await startRedis();
    const { url } = await server.createDatabase();
    [replica] = (await startReplicas({ count: 1, databaseUrl: url, redisUrl: redis.url })) as [Replica];
    site = await Site.make(replica);
  }, MINUTES);
  afterAll(async () => {
    await replica?.stop();
    await redis?.stop();
    await server?.stop();
  }, MINUTES);

  it(
    'is not needed: uploads, logins, search and indexing work, and readiness reports `oom` until there is memory',
    async () => {
      const admin = new Redis(redis.url);
      try {
        await eventually(async () => expect(await site.ready('redis')).toBe('200 connected'), { timeout: 10_000 });
        await admin.config('SET', 'maxmemory', '1mb');
        await eventually(
          async () => {
            await site.login();
            expect(await site.ready('redis')).toBe('200 oom');
          },
          { timeout: 10_000, every: 100 },
        );
        const answers = await site.uploads(UPLOADS);
        expect(answers.filter(({ status }) => status !== 201)).toEqual([]);
        expect([await site.login(), await site.search()]).toEqual([200, 200]);
        const { body } = await site.index(site.kept[0]!);
        const tasks = await tasksEnded(site.client, site.token, [body.task_id], MINUTES);
        expect(tasks.map(({ status }) => status)).toEqual(['success']);
        expect(await site.lost()).toEqual([]);
        await admin.config('SET', 'maxmemory', '0');
        await eventually(async () => expect(await site.ready('redis')).toBe('200 connected'), {
          timeout: AVAILABLE_WITHIN_MS,
        });
      } finally {
        admin.disconnect();
      }
    },
    5 * MINUTES,
  );
});
