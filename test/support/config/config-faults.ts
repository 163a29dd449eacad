import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosProxy } from '@yuxi/testing';
import type { ConfigFleet, Member } from './config-fleet.js';

type Random = () => number;

/** How often each fault occurred. */
export type FaultCounts = Record<string, number>;

/** Causes random faults at the replicas of a fleet until it is stopped. Every fault is repaired at its end. */
export class ConfigFaults {
  readonly counts: FaultCounts = {};
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly fleet: ConfigFleet,
    private readonly random: Random,
  ) {}

  /** @param every milliseconds between two faults, varied at random */
  start(every: number): void {
    this.#running = this.#run(every);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(every: number): Promise<void> {
    const running: Promise<void>[] = [];
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
      running.push(fault(this.fleet, member, ms).finally(() => busy.delete(member)));
    }
    await Promise.all(running);
  }
}

type Fault = (fleet: ConfigFleet, member: Member, ms: number) => Promise<void>;

const link =
  (which: 'redis' | 'postgres', damage: (proxy: ChaosProxy) => unknown): Fault =>
  async (_fleet, member, ms) => {
    await damage(member[which]);
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
