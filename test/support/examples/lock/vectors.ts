import { once } from 'node:events';

/** Code that the example leaves to its reader. Here each step is reported to the parent, and the first waits for its command. */
export async function embed(file: string, signal: AbortSignal): Promise<void> {
  process.send!({ event: 'embedding', file });
  await once(process, `go ${file}`, { signal });
}

export async function save(file: string, fence: number | null): Promise<void> {
  process.send!({ event: 'saved', file, fence });
}
