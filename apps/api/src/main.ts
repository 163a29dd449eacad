// Handles SIGTERM and SIGINT from here on; the rest takes a second to load.
import '@yuxi/platform/signals';

await import('./api.js');
