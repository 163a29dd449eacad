import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosProxy } from '@yuxi/testing';
import type { Member, TasksFleet } from './tasks-fleet.js';

/** Kills workers, and makes the links to Redis lose replies or break, at random until it is stopped. */
export class TasksFaults {
  readonly counts: Record<string, number> = {};
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly fleet: TasksFleet,
    private readonly random: () => number,
  ) {}

  /** @param every shortest and longest time between two kills, milliseconds */
  start(every: readonly [number, number]): void {
    this.#running = Promise.all([this.#kill(every), this.#disturb()]);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #kill([least, most]: readonly [number, number]): Promise<void> {
    for (;;) {
      await pause(least + this.random() * (most - least));
      if (this.#stopped) return;
      this.#count('kill -9');
      await this.fleet.replace(this.#one(this.fleet.members));
    }
  }

  async #disturb(): Promise<void> {
    const links = () => [this.fleet.producerLink, ...this.fleet.members.flatMap(({ proxy }: Member) => proxy ?? [])];
    for (;;) {
      await pause(100 + this.random() * 400);
      if (this.#stopped) return;
      const [name, harm] = this.#one(HARMS);
      const link = this.#one(links());
      this.#count(name);
      await harm(link);
      await pause(30 + this.random() * 300);
      await link.heal();
    }
  }

  #one<T>(all: readonly T[]): T {
    return all[Math.floor(this.random() * all.length)]!;
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}

const HARMS: [name: string, harm: (link: ChaosProxy) => unknown][] = [
  ['answers lost', (link) => link.loseAnswers()],
  ['link silent', (link) => link.blackhole()],
  ['link cut', (link) => link.cut()],
  ['link refused', (link) => link.refuse()],
];
