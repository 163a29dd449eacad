// Must be imported first, and imports nothing. The first process of a container ignores a signal without a handler, and the rest of the
// application takes a second to load.

/** Signals that end a process of the product. */
export type EndSignal = 'SIGTERM' | 'SIGINT';

/** An interrupted start needs no clean-up: the next start repeats its work. */
let end = (signal: EndSignal): void => {
  process.stderr.write(`Stopped by ${signal} while it was starting\n`);
  process.exit(0);
};

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(signal));

/** Replaces the handler of both signals. */
export function onEndSignal(handler: (signal: EndSignal) => void): void {
  end = handler;
}
