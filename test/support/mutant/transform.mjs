// The transformer of Jest for a mutant: @swc/jest with the changed text.
import swc from '@swc/jest';
import { mutate } from './mutant.mjs';

export default {
  createTransformer(config) {
    const plain = swc.createTransformer(config);
    return {
      process: (text, path, options) => plain.process(mutate(path, text), path, options),
      // The changed text has another cache key.
      getCacheKey: (text, path, options) => plain.getCacheKey(mutate(path, text), path, options),
    };
  },
};
