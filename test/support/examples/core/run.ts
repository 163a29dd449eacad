import assert from 'node:assert/strict';

await assert.rejects(import('./example-1.js'), {
  name: 'OptionsError',
  message: /ttl must be an integer 1\.\.2147483647 ms or a duration like '30s', got "30 sec"/,
});
