import { describe, expect, it } from '@jest/globals';
import { readOptions } from './options.js';

describe('options of the cluster command', () => {
  it('have defaults', () => {
    expect(readOptions([])).toEqual({ replicas: 3, port: 5050, json: false, help: false });
    expect(readOptions(['--replicas', '5', '--port=6000', '--json'])).toMatchObject({
      replicas: 5,
      port: 6000,
      json: true,
    });
  });

  it.each([[['--replicas', '0']], [['--replicas', '2x']], [['--port', '80']], [['--what']]])(
    'are refused when they are %j',
    (args) => {
      expect(() => readOptions(args)).toThrow(args[0]);
    },
  );
});
