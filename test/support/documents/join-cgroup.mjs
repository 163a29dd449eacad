// Preloaded into a server: from its first line on it is in a group whose memory is limited.
import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env.CGROUP_PROCS;
if (isMainThread && file) writeFileSync(file, `${process.pid}`);
