import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { type Lock, type LockOptions, type LockService, WithLock } from './index.js';

/** Never called; only the compiler reads it. */
export function declarations(locks: LockService) {
  class Kb {
    @WithLock(([id, more]) => `x_${String(id)}_${String(more)}`)
    async untyped(id: string, more: number): Promise<string> {
      return `${id}${more}`;
    }

    @WithLock(([id]: [string]) => [`x_${id}`, 'all'], { ttl: '5m', wait: false, onBusy: 'skip' })
    async fewer(id: string, more?: number): Promise<string | undefined> {
      return `${id}${more}`;
    }

    // @ts-expect-error the key takes a number, the method a string
    @WithLock(([id]: [number]) => `x_${id}`)
    async wrongType(id: string): Promise<string> {
      return id;
    }

    // @ts-expect-error the key takes more than the method has
    @WithLock(([id, more]: [string, string]) => `x_${id}_${more}`)
    async tooFew(id: string): Promise<string> {
      return id;
    }

    // @ts-expect-error the method may be called without an argument that the key takes
    @WithLock(([id]: [string]) => `x_${id}`)
    async optional(id?: string): Promise<string> {
      return String(id);
    }

    // @ts-expect-error a number is not a name
    @WithLock(([id]: [number]) => id)
    async noName(id: number): Promise<number> {
      return id;
    }

    // @ts-expect-error synchronous
    @WithLock(() => 'x')
    synchronous(): number {
      return 1;
    }

    // @ts-expect-error a generator
    @WithLock(() => 'x')
    async *generator(): AsyncGenerator<number> {
      yield 1;
    }

    // @ts-expect-error a getter
    @WithLock(() => 'x')
    get size(): number {
      return 1;
    }

    // @ts-expect-error no such value of onBusy
    @WithLock(() => 'x', { onBusy: 'wait' })
    async busy(): Promise<void> {}

    // @ts-expect-error a signal belongs to one call
    @WithLock(() => 'x', { signal: AbortSignal.abort() })
    async signal(): Promise<void> {}
  }
  // @ts-expect-error a duration is milliseconds or a text
  const option: LockOptions = { ttl: null };
  // @ts-expect-error a number is not a name
  const byNumber: Promise<Lock> = locks.acquire(1);
  // @ts-expect-error the body must return a promise
  const body = locks.withLock('x', () => 1);
  return [Kb, option, byNumber, body];
}

const FILE = fileURLToPath(import.meta.url);
const MARK = '// @ts-expect-error';

/** Lines of this file with compiler errors when the `expect-error` comments are removed. */
function complaints(): number[] {
  const { config } = ts.readConfigFile(fileURLToPath(new URL('../../../tsconfig.base.json', import.meta.url)), (path) =>
    readFileSync(path, 'utf8'),
  ) as { config: { compilerOptions: object } };
  const { options } = ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, composite: false }, '.');
  const host = ts.createCompilerHost(options);
  const read = host.readFile.bind(host);
  host.readFile = (path) => (path === FILE ? read(path)?.replaceAll(MARK, '//') : read(path));
  const program = ts.createProgram([FILE], { ...options, noEmit: true }, host);
  const source = program.getSourceFile(FILE)!;
  const found = program.getSemanticDiagnostics(source).map(({ start }) => source.getLineAndCharacterOfPosition(start!));
  return [...new Set(found.map(({ line }) => line + 1))];
}

describe('the types of the lock', () => {
  it('refuse wrong uses, and nothing else', () => {
    const lines = readFileSync(FILE, 'utf8').split('\n');
    const expected = lines.flatMap((line, i) => (line.trim().startsWith(`${MARK} `) ? [i + 2] : []));
    expect(expected).toHaveLength(12);
    expect(complaints()).toEqual(expected);
  }, 60_000);
});
