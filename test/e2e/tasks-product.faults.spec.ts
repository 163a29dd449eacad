import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { monotonicMs, sleep } from '@yuxi/core';
import { Redis } from 'ioredis';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { requestIndex, uploadText } from '../support/knowledge/made-files.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const MINUTE = 60_000;
const QUEUE = '/api/system/queues/default';
const PARAGRAPHS = 2;

describe('a file of the product while Redis fails', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet();
  }, MINUTE);
  afterAll(() => fleet?.stop(), MINUTE);

  const upload = async (dbId: string, name: string, replica: number) => {
    const text = Array.from({ length: PARAGRAPHS }, (_, i) => `Paragraph ${i} of ${name}. `.repeat(20)).join('\n\n');
    return (await uploadText(fleet.apis[replica]!, fleet.token, dbId, name, text)).file_id;
  };
  const status = async (replica: number, path: string, method: 'post' | 'get') =>
    (await fleet.apis[replica]![method](path, { token: fleet.token })).status;

  it(
    'is indexed once when Redis is emptied before and during the indexing',
    async () => {
      const { token, apis, redis } = fleet;
      const dbId = await createKnowledgeBase(apis[0]!, token, 'flushed');
      expect(await status(0, `${QUEUE}/pause`, 'post')).toBe(200);
      const names = Array.from({ length: size(30, 500) }, (_, i) => `flushed ${i}`);
      const files = await Promise.all(names.map((name, i) => upload(dbId, name, i % 3)));
      const task = await requestIndex(apis[1]!, token, dbId, files);
      const direct = new Redis(redis.url);
      await direct.flushall();
      expect(await status(2, `${QUEUE}/resume`, 'post')).toBe(200);
      await sleep(200);
      await direct.flushall();
      direct.disconnect();
      const [ended] = await tasksEnded(apis[2]!, token, [task], 4 * MINUTE);
      expect(ended).toMatchObject({ status: 'success', progress: 100 });
      expect(await auditIndex(fleet, dbId)).toEqual([]);
    },
    5 * MINUTE,
  );

  it(
    'is accepted and indexed once while Redis is unavailable',
    async () => {
      const { token, apis, redis } = fleet;
      const dbId = await createKnowledgeBase(apis[0]!, token, 'unavailable');
      const until = monotonicMs() + size(3000, MINUTE);
      await redis.kill();
      const count = size(15, 100);
      const tasks: string[] = [];
      for (let i = 0; i < count; i++) {
        const file = await upload(dbId, `unavailable ${i}`, i % 3);
        tasks.push(await requestIndex(apis[(i + 1) % 3]!, token, dbId, [file]));
      }
      const ended = await tasksEnded(apis[0]!, token, tasks, 2 * MINUTE);
      expect(new Set(ended.map(({ status: how }) => how))).toEqual(new Set(['success']));
      await sleep(Math.max(0, until - monotonicMs()));
      await redis.restart();
      expect(await auditIndex(fleet, dbId)).toEqual([]);
    },
    5 * MINUTE,
  );
});
