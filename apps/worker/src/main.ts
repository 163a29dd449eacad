// First: see there.
import '@yuxi/platform/signals';

await import('./worker.js');
