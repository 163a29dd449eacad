import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MEBIBYTE = 1024 * 1024;
const JOIN = new URL('./join-cgroup.mjs', import.meta.url).href;

/** Names of the files of one version of cgroups. */
interface Version {
  root: string;
  limit: string;
  /** Absent where swap is limited together with memory. */
  swap?: string;
  peak: string;
  /** Holds the number of processes that were killed for want of memory. */
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

/** A control group of Linux, as a container has one, with a limit of its memory. */
export class MemoryLimit {
  private constructor(
    private readonly version: Version,
    private readonly folder: string,
    private readonly mebibytes: number,
  ) {}

  /** @returns undefined where none can be made: not Linux, no rights, or no controller of memory */
  static make(name: string, mebibytes: number): MemoryLimit | undefined {
    for (const version of VERSIONS) {
      const folder = join(version.root, `yuxi-${process.pid}-${name}`);
      try {
        mkdirSync(folder);
      } catch {
        continue;
      }
      try {
        // A folder on a file system that is not of cgroups is an ordinary one.
        if (existsSync(join(folder, version.limit))) {
          writeFileSync(join(folder, version.limit), `${mebibytes * MEBIBYTE}`);
          if (version.swap && existsSync(join(folder, version.swap))) writeFileSync(join(folder, version.swap), '0');
          return new MemoryLimit(version, folder, mebibytes);
        }
      } catch {
        // The next version, or none.
      }
      rmdirSync(folder);
    }
    return undefined;
  }

  /** Makes a process of Node join, with the heap that Node takes in a container of that size: half of the memory. */
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

  /** Most memory so far, with the cache of files, MiB. */
  get peak(): number {
    return Number(this.#read(this.version.peak)) / MEBIBYTE;
  }

  /** Processes that were killed because there was no memory left. */
  get kills(): number {
    return Number(/^oom_kill (\d+)$/m.exec(this.#read(this.version.events))?.[1] ?? 0);
  }

  /** Once no process is in it. */
  remove(): void {
    rmdirSync(this.folder);
  }

  #read(file: string): string {
    return existsSync(join(this.folder, file)) ? readFileSync(join(this.folder, file), 'utf8') : '';
  }
}

/** Most memory that a process had in use at any time, without the cache of files, MiB. */
export function mostResident(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}
