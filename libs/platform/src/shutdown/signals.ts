// Imported before anything else, and imports nothing: the first process of a container ignores a signal that it has no handler for, and
// the rest of an application takes a second to load.

/** Signals that end a process of the product. */
export type EndSignal = 'SIGTERM' | 'SIGINT';

/** Nothing of a start needs to be taken back: what it leaves half done, the next start does again. */
let end = (signal: EndSignal): void => {
  process.stderr.write(`Stopped by ${signal} while it was starting\n`);
  process.exit(0);
};

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(signal));

/** From now on `handler` is called for each signal, instead of what was called before. */
export function onEndSignal(handler: (signal: EndSignal) => void): void {
  end = handler;
}
