// Handles SIGTERM and SIGINT before the other modules are loaded, which takes a second.
import '@yuxi/platform/signals';

await import('./worker.js');
