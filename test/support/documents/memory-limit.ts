import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MEBIBYTE = 1024 * 1024;
const JOIN = new URL('./join-cgroup.mjs', import.meta.url).href;

/** Names of the files of one version of cgroups. */
interface Version {
  root: string;
  limit: string;
  /** Absent if swap is limited together with memory. */
  swap?: string;
  peak: string;
  /** Contains the number of processes that were killed because of the limit. */
  events: string;
}

const VERSIONS: readonly Version[] = [
  {
    root: '/sys/fs/cgroup',
    limit: 'memory.max',
    swap: 'memory.swap.max',
    peak: 'memory.peak',
    events: 'memory.events',
  },
  {
    root: '/sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    peak: 'memory.max_usage_in_bytes',
    events: 'memory.oom_control',
  },
];

/** A Linux control group with a memory limit, like that of a container. */
export class MemoryLimit {
  private constructor(
    private readonly version: Version,
    private readonly folder: string,
    private readonly mebibytes: number,
  ) {}

  /** @returns undefined if none can be made: not on Linux, no permission, or no memory controller */
  static make(name: string, mebibytes: number): MemoryLimit | undefined {
    for (const version of VERSIONS) {
      const folder = join(version.root, `yuxi-${process.pid}-${name}`);
      try {
        mkdirSync(folder);
      } catch {
        continue;
      }
      try {
        // On another file system this is an ordinary folder without these files.
        if (existsSync(join(folder, version.limit))) {
          writeFileSync(join(folder, version.limit), `${mebibytes * MEBIBYTE}`);
          if (version.swap && existsSync(join(folder, version.swap))) writeFileSync(join(folder, version.swap), '0');
          return new MemoryLimit(version, folder, mebibytes);
        }
      } catch {
        // Tries the next version.
      }
      rmdirSync(folder);
    }
    return undefined;
  }

  /** Environment that moves a Node process into the group, with the heap limit of a container of that size: half of the memory. */
  get env(): Record<string, string> {
    const options = process.env['YUXI_MUTANT'] ? (process.env['NODE_OPTIONS'] ?? '') : '';
    return {
      CGROUP_PROCS: join(this.folder, 'cgroup.procs'),
      NODE_OPTIONS: `${options} --import=${JOIN} --max-old-space-size=${this.mebibytes / 2}`,
    };
  }

  get processes(): number[] {
    return this.#read('cgroup.procs').split('\n').filter(Boolean).map(Number);
  }

  /** Peak of the memory so far, including the file cache, MiB. */
  get peak(): number {
    return Number(this.#read(this.version.peak)) / MEBIBYTE;
  }

  /** Number of processes that were killed because of the limit. */
  get kills(): number {
    return Number(/^oom_kill (\d+)$/m.exec(this.#read(this.version.events))?.[1] ?? 0);
  }

  /** Allowed when the group has no process. */
  remove(): void {
    rmdirSync(this.folder);
  }

  #read(file: string): string {
    return existsSync(join(this.folder, file)) ? readFileSync(join(this.folder, file), 'utf8') : '';
  }
}

/** Peak of the resident memory of a process, without the file cache, MiB. */
export function mostResident(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}
