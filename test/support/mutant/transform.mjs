// Jest's transformer for a run on a mutant: what @swc/jest does, on the changed text.
import swc from '@swc/jest';
import { mutate } from './mutant.mjs';

export default {
  createTransformer(config) {
    const plain = swc.createTransformer(config);
    return {
      process: (text, path, options) => plain.process(mutate(path, text), path, options),
      // The changed text has a key of its own.
      getCacheKey: (text, path, options) => plain.getCacheKey(mutate(path, text), path, options),
    };
  },
};
