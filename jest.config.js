import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';

/** Which files a tier runs; without one, all of them. docs/testing.md has the rules. */
const TIERS = { default: '^(?!.*\\.faults\\.spec\\.ts$).*\\.spec\\.ts$', faults: '\\.faults\\.spec\\.ts$' };
// With YUXI_MUTANT the tests run on a product with one guard taken out (test/controls.faults.spec.ts).
const { YUXI_TIER: tier, YUXI_MUTANT: mutant } = process.env;

// Read here, because workers inherit the environment of this process.
process.env.YUXI_SEED ||= String(randomInt(1_000_000));

/** Tests run the TypeScript sources as ES modules; processes that tests start run the compiled product. */
export default {
  testEnvironment: '<rootDir>/test/support/jest/environment.mjs',
  testSequencer: '<rootDir>/test/support/jest/sequencer.mjs',
  roots: ['<rootDir>/libs', '<rootDir>/apps', '<rootDir>/test'],
  testRegex: TIERS[tier] ?? '\\.spec\\.ts$',
  testPathIgnorePatterns: ['/node_modules/', '/dist/', '/test/bench/'],
  modulePathIgnorePatterns: ['/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  // Each import tries them in this order.
  moduleFileExtensions: ['ts', 'js', 'mjs', 'cjs', 'json', 'node'],
  moduleNameMapper: {
    '^@yuxi/storage/pglite-thread$': '<rootDir>/test/support/jest/pglite.thread.mjs',
    '^@yuxi/core/discovery$': '<rootDir>/libs/core/src/discovery.ts',
    '^@yuxi/([^/]+)$': '<rootDir>/libs/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: {
    '^.+\\.ts$': [
      mutant ? '<rootDir>/test/support/mutant/transform.mjs' : '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
          target: 'es2022',
        },
        module: { type: 'es6' },
      },
    ],
  },
  globalSetup: '<rootDir>/test/support/jest/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/jest/global-teardown.mjs',
  reporters: ['default', '<rootDir>/test/support/jest/reporter.mjs'],
  testTimeout: 30_000,
  // Most tests wait for servers: two of them keep two cores busy.
  maxWorkers: Math.max(2, availableParallelism() >> 1),
  // ES modules of a finished file are never let go: in one process the last files would run in the shadow of its collector.
  workerIdleMemoryLimit: '800MB',
};
