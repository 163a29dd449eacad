import { createRequire } from 'node:module';
import { cpuOf } from '../measure.mjs';

const { Redis } = createRequire(import.meta.resolve('@yuxi/redis'))('ioredis');

/** Measures the cost of work: time, CPU of this process and of the server, commands. */
export class Meter {
  constructor(server) {
    this.server = server;
    this.admin = new Redis(server.url);
  }

  async empty() {
    await this.admin.flushall();
  }

  async memory() {
    return Number(/used_memory:(\d+)/.exec(await this.admin.info('memory'))[1]);
  }

  async measure(count, work) {
    const before = await this.#read();
    const from = performance.now();
    await work();
    const seconds = (performance.now() - from) / 1000;
    const after = await this.#read();
    return {
      rate: count / seconds,
      redis: (after.redis - before.redis) / count,
      node: (after.node - before.node) / count,
      sent: (after.sent - before.sent) / count,
    };
  }

  async #read() {
    const commands = await this.admin.info('commandstats');
    const calls = [...commands.matchAll(/cmdstat_(\w+)\S*:calls=(\d+)/g)];
    const sent = calls.reduce((sum, [, name, n]) => sum + (name === 'info' ? 0 : Number(n)), 0);
    const { user, system } = process.cpuUsage();
    return { sent, redis: cpuOf(this.server.pid), node: user + system };
  }

  close() {
    this.admin.disconnect();
  }
}
