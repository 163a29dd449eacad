import { it } from '@jest/globals';

it('blocks the event loop', () => {
  for (;;);
});
