import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

const STDOUT = 1;

/** A line for standard output. */
export interface ProgressLine {
  /** Milliseconds after the start of the thread. */
  after: number;
  text: string;
}

for (const { after, text } of workerData as ProgressLine[])
  // Past `process.stdout`, whose writes wait for the main thread.
  setTimeout(() => writeSync(STDOUT, `${text}\n`), after);
