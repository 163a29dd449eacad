// Preloaded into a server: moves the process into a control group with a memory limit, before it loads anything else.
import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env.CGROUP_PROCS;
if (isMainThread && file) writeFileSync(file, `${process.pid}`);
