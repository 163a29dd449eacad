import { type Lock, lockKey, type LockService, type LockState } from '@yuxi/lock';
import { eventually } from '@yuxi/testing';
import type { Replica } from '../lock.fixture.js';
import type { Letter } from './model.js';

/** Which of the two replicas is called. */
export type ReplicaIndex = 0 | 1;

/** The product: two replicas with the locks of one run, under its own names, and an administrator of their Redis. */
export class RealLocks {
  /** @param done how often each command ran, over all runs */
  constructor(
    private readonly replicas: readonly [Replica, Replica],
    private readonly admin: Replica,
    private readonly run: number,
    private readonly done: Record<string, number>,
  ) {}

  count(command: string): void {
    this.done[command] = (this.done[command] ?? 0) + 1;
  }

  name(letter: Letter): string {
    return `${letter} ${this.run}`;
  }

  names(letters: readonly Letter[]): string[] {
    return letters.map((letter) => this.name(letter));
  }

  locks(replica: ReplicaIndex): LockService {
    return this.replicas[replica].locks;
  }

  fenceOf(lock: Lock, letter: Letter): number | null {
    return lock.fenceOf(this.name(letter));
  }

  inspect(letter: Letter): Promise<LockState> {
    return this.admin.locks.inspect(this.name(letter));
  }

  force(letter: Letter): Promise<boolean> {
    return this.admin.locks.forceRelease(this.name(letter));
  }

  /** Deletes or expires a held key. */
  async expire(letter: Letter, how: 'DEL' | 'PEXPIRE'): Promise<void> {
    const { redis } = this.admin;
    const key = lockKey(this.name(letter));
    const owner = await redis.get(key);
    if (how === 'DEL') await redis.del(key);
    else await redis.pexpire(key, 1);
    await eventually(async () => (await redis.get(key)) !== owner, { every: 1, describe: `${key} to expire` });
  }

  /** Like a clock of Redis that was set back: the last fence is an hour ahead. @returns that fence */
  async skewClock(letter: Letter): Promise<number> {
    const key = `yuxi:lockf:{${lockKey(this.name(letter))}}`;
    const ahead = Math.max(Number(await this.admin.redis.get(key)) + 1, (Date.now() + 3_600_000) * 1000);
    await this.admin.redis.set(key, ahead, 'PX', 60_000);
    return ahead;
  }

  async flushAll(): Promise<void> {
    await this.admin.redis.flushall();
  }

  async flushScripts(): Promise<void> {
    await this.admin.redis.script('FLUSH');
  }

  /** Closes the subscriptions of the replicas; they connect again. */
  async dropSubscriptions(): Promise<void> {
    await this.admin.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  }

  /** The keys of queues and their waiters. */
  async companions(): Promise<string[]> {
    return this.admin.redis.keys(`yuxi:lock[qw]:{${lockKey(`? ${this.run}`)}}`);
  }
}
