// The heartbeat thread with one step removed.
import { workerData } from 'node:worker_threads';
import { control } from './tasks-controls.mjs';

await control(workerData.control);
await import(workerData.file);
