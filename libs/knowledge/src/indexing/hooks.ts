/** Where a fault test can stop an indexing run. */
export type PausePoint = 'before-claim' | 'after-claim' | 'before-commit';

/** A protection that a control run takes away, to see the test fail without it. */
export type Protection = 'claim' | 'fingerprint' | 'generation';

/** What fault tests reach into; nothing of it is active in production. */
export interface IndexingHooks {
  readonly broken: ReadonlySet<Protection>;
  /** Awaited at each point. `before-commit` is before the finishing transaction opens, so that it holds no row. */
  at(point: PausePoint, fileId: string): Promise<void>;
}

/** Injection token of the {@link IndexingHooks}. */
export const INDEXING_HOOKS = Symbol('INDEXING_HOOKS');

export const NO_HOOKS: IndexingHooks = { broken: new Set(), at: () => Promise.resolve() };
