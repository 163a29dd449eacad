import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosProxy } from '@yuxi/testing';
import type { ConfigFleet, Member } from './config-fleet.js';

type Random = () => number;

/** How often each fault occurred. */
export type FaultCounts = Record<string, number>;

/** Does harm to the replicas of a fleet at random, one after the other, until it is stopped; then everything is healed. */
export class ConfigFaults {
  readonly counts: FaultCounts = {};
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly fleet: ConfigFleet,
    private readonly random: Random,
  ) {}

  /** @param every milliseconds between two faults, moved at random */
  start(every: number): void {
    this.#running = this.#run(every);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(every: number): Promise<void> {
    const under: Promise<void>[] = [];
    const busy = new Set<Member>();
    while (!this.#stopped) {
      await pause(every * (0.5 + this.random()));
      const free = this.fleet.members.filter((member) => !busy.has(member));
      const member = free[Math.floor(this.random() * free.length)];
      const [name, fault] = FAULTS[Math.floor(this.random() * FAULTS.length)]!;
      const ms = 200 + this.random() * 2800;
      if (!member || this.#stopped) continue;
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      busy.add(member);
      under.push(fault(this.fleet, member, ms).finally(() => busy.delete(member)));
    }
    await Promise.all(under);
  }
}

type Fault = (fleet: ConfigFleet, member: Member, ms: number) => Promise<void>;

const link =
  (which: 'redis' | 'postgres', harm: (proxy: ChaosProxy) => unknown): Fault =>
  async (_fleet, member, ms) => {
    await harm(member[which]);
    await pause(ms);
    await member[which].heal();
  };

const FAULTS: [name: string, fault: Fault][] = [
  ['killed', (fleet, member) => fleet.restart(member)],
  [
    'stopped',
    async (_fleet, { worker }, ms) => {
      worker.signal('SIGSTOP');
      await pause(ms);
      worker.signal('SIGCONT');
    },
  ],
  ['Redis link silent', link('redis', (proxy) => proxy.blackhole())],
  ['Redis link cut', link('redis', (proxy) => proxy.refuse())],
  ['PostgreSQL link silent', link('postgres', (proxy) => proxy.blackhole())],
  ['PostgreSQL link cut', link('postgres', (proxy) => proxy.refuse())],
  ['Redis restarted', (fleet) => fleet.redis.restart()],
];
