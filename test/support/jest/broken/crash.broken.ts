import { it } from '@jest/globals';

it('crashes its process', () => {
  process.kill(process.pid, 'SIGSEGV');
  return new Promise(() => undefined);
});
