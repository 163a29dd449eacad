import { once } from 'node:events';

/** What the example leaves to its reader: here each step is told to the parent, and the first ends when that says so. */
export async function embed(file: string, signal: AbortSignal): Promise<void> {
  process.send!({ event: 'embedding', file });
  await once(process, `go ${file}`, { signal });
}

export async function save(file: string, fence: number | null): Promise<void> {
  process.send!({ event: 'saved', file, fence });
}
