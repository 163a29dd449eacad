import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, type RedisCluster, type SentinelTrio, startRedisCluster, startSentinel } from '@yuxi/testing';
import { Cluster, type Redis } from 'ioredis';
import { type FailoverKind, Failovers } from '../support/failover.js';
import { size } from '../support/size.js';
import { clock, TasksFleet, type TestTask } from '../support/tasks/tasks-fleet.js';

const MINUTE = 60_000;
const KINDS: readonly FailoverKind[] = ['kill', 'command', 'hang'];
const LOT = 200;
const WORKERS = 4;

const lot = (from: number): TestTask[] =>
  Array.from({ length: LOT }, (_, i) => ({ id: `t${from + i}`, n: from + i, ms: 50 }));
const summary = (values: readonly number[]) => {
  const sorted = values.toSorted((a, b) => a - b).map(Math.round);
  return `${sorted[sorted.length >> 1]} ms median, ${sorted.at(-1)} ms worst`;
};

describe('a task in Redis during a change of the master', () => {
  let fleet: TasksFleet;
  let servers: SentinelTrio | RedisCluster;
  let failovers: Failovers | undefined;
  afterEach(async () => {
    await fleet?.stop();
    failovers?.close();
    await servers?.stop();
  }, MINUTE);

  /** Waits until a handler began after `at`. @returns how long after */
  const startedAfter = (at: number) =>
    eventually(
      async () => {
        const first = (await fleet.starts()).find((start) => start.at > at);
        if (!first) throw new Error('there is none');
        return first.at - at;
      },
      { timeout: MINUTE, describe: 'a start after the failover' },
    );

  it(
    'is carried on after a Sentinel failover: none is lost or stranded, no worker is declared dead, no effect happens twice',
    async () => {
      const trio = await startSentinel({ downAfter: 3000 });
      servers = trio;
      failovers = new Failovers(trio);
      const { sentinels, masterName, password } = trio;
      const redis = { sentinels, sentinelName: masterName, password };
      fleet = await TasksFleet.start({ workers: WORKERS, redis, effects: true });
      fleet.direct = failovers.client(await trio.master());
      const resumed: number[] = [];
      let enqueued = 0;
      let recovered = 0;
      for (let round = 0; round < size(2, 12); round++) {
        await fleet.enqueue('effect', lot(enqueued));
        const producing = [fleet.enqueue('effect', lot(enqueued + LOT))];
        await startedAfter(0);
        const failover = await failovers.run(KINDS[round % KINDS.length]!);
        fleet.direct = failovers.client(failover.to);
        const done = await fleet.counter('done');
        // All earlier tasks may have ended by now.
        producing.push(fleet.enqueue('effect', lot(enqueued + 2 * LOT)));
        enqueued += 3 * LOT;
        await eventually(async () => expect(await fleet.counter('done')).toBeGreaterThan(done), { timeout: MINUTE });
        resumed.push(clock() - failover.namedAt);
        await Promise.all(producing);
        await fleet.drained(MINUTE);
        recovered += await fleet.counter('recovered');
        await failovers.settle(failover);
        await fleet.register.del('starts');
      }
      const effects = await fleet.effects();
      const twice = [...effects].filter(([, count]) => count > 1);
      expect({ twice, recovered, lost: enqueued - effects.size }).toEqual({ twice: [], recovered: 0, lost: 0 });
      console.info(
        `tasks-failover: ${resumed.length} Sentinel failovers, ${enqueued} tasks: next start after the new master ${summary(resumed)}`,
      );
    },
    10 * MINUTE,
  );

  it(
    'is carried on after a Cluster lost a master, on each of its masters: none is lost',
    async () => {
      const cluster = await startRedisCluster();
      servers = cluster;
      const direct = new Cluster(cluster.nodes, { clusterRetryStrategy: () => 20 });
      direct.on('error', () => undefined);
      const queues = Array.from({ length: 9 }, (_, i) => `queue${i}`);
      const redis = { clusterNodes: cluster.nodes };
      fleet = await TasksFleet.start({ workers: 2, redis, queues, effects: true });
      fleet.direct = direct as unknown as Redis;
      const all = queues.map((queue, q) => ({ queue, tasks: lot(q * LOT) }));
      await Promise.all(all.map(({ queue, tasks }) => fleet.enqueue(`effect_${queue}`, tasks.slice(0, LOT / 2))));
      await startedAfter(0);
      await cluster.servers[0]!.kill();
      const killedAt = clock();
      const enqueueing = all.map(({ queue, tasks }) => fleet.enqueue(`effect_${queue}`, tasks.slice(LOT / 2)));
      await Promise.all(enqueueing);
      await Promise.all(queues.map((queue) => fleet.drained(MINUTE, queue)));
      const effects = await fleet.effects();
      expect([...effects].filter(([, count]) => count > 1)).toEqual([]);
      expect(effects.size).toBe(queues.length * LOT);
      const seconds = ((clock() - killedAt) / 1000).toFixed(1);
      console.info(
        `tasks-failover: Cluster, ${queues.length} queues, one of three masters killed: all done ${seconds} s later`,
      );
    },
    3 * MINUTE,
  );
});
