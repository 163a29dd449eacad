import { writeSync } from 'node:fs';

import { OptionsError } from '@yuxi/core';

/** A point where a fault test can stop an indexing run. */
export type PausePoint = 'before-claim' | 'after-claim' | 'before-commit';

/** A protection that a control switches off, to show that the test then fails. */
export type Protection = 'claim' | 'fingerprint' | 'generation';

/** Hooks for fault tests, not active in production. */
export interface IndexingHooks {
  readonly broken: ReadonlySet<Protection>;
  /** Awaited at each point. `before-commit` comes before the finishing transaction, when the run holds no row lock. */
  at(point: PausePoint, fileId: string): Promise<void>;
}

/** Injection token of the {@link IndexingHooks}. */
export const INDEXING_HOOKS = Symbol('INDEXING_HOOKS');

export const NO_HOOKS: IndexingHooks = { broken: new Set(), at: () => Promise.resolve() };

const POINTS: readonly string[] = ['before-claim', 'after-claim', 'before-commit'] satisfies PausePoint[];
const PROTECTIONS: readonly string[] = ['claim', 'fingerprint', 'generation'] satisfies Protection[];
/** Limit of a pause, so that no process waits forever when its test has died. */
const LONGEST_PAUSE_MS = 120_000;

/**
 * Hooks of a process under test. With `YUXI_TEST_PAUSE_AT` (a {@link PausePoint}) the first run that reaches the point writes
 * `YUXI_TEST_PAUSED <point> <file id>` to stdout and waits for SIGCONT. `YUXI_TEST_BREAK` is a list of {@link Protection}.
 * @throws {OptionsError} for an unknown value, and for any value unless `NODE_ENV` is `test`.
 */
export function indexingHooksFromEnv(env: NodeJS.ProcessEnv): IndexingHooks {
  const point = oneOf('YUXI_TEST_PAUSE_AT', env, POINTS)[0];
  const broken = new Set(oneOf('YUXI_TEST_BREAK', env, PROTECTIONS)) as Set<Protection>;
  if (point === undefined && broken.size === 0) return NO_HOOKS;
  if (env['NODE_ENV'] !== 'test')
    throw new OptionsError('NODE_ENV', 'test while YUXI_TEST_PAUSE_AT or YUXI_TEST_BREAK is set', env['NODE_ENV']);
  let paused = false;
  return {
    broken,
    async at(reached, fileId) {
      if (paused || reached !== point) return;
      paused = true;
      const resumed = nextSigcont();
      writeSync(process.stdout.fd, `YUXI_TEST_PAUSED ${reached} ${fileId}\n`);
      await resumed;
    },
  };
}

function oneOf(name: string, env: NodeJS.ProcessEnv, allowed: readonly string[]): string[] {
  const values = (env[name] ?? '').split(',').filter(Boolean);
  const unknown = values.find((value) => !allowed.includes(value));
  if (unknown !== undefined) throw new OptionsError(name, `a list of ${allowed.join(', ')}`, unknown);
  return values;
}

function nextSigcont(): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      process.removeListener('SIGCONT', done);
      resolve();
    };
    const timer = setTimeout(done, LONGEST_PAUSE_MS);
    process.once('SIGCONT', done);
  });
}
