// The thread of the beats, without a step.
import { workerData } from 'node:worker_threads';
import { control } from './tasks-controls.mjs';

await control(workerData.control);
await import(workerData.file);
