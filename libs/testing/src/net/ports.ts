import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

// Below the usual ephemeral range: an outgoing connection can then never take the port of a server that is being restarted.
const FIRST = 15_000;
const LAST = 32_000;
const given = new Set<number>();

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * A TCP port of 127.0.0.1 on which nothing listens, never given twice to one process.
 * @throws Error when none of 200 candidates is free.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = randomInt(FIRST, LAST);
    if (given.has(port) || !(await canListen(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`No free TCP port found on 127.0.0.1 between ${FIRST} and ${LAST}: stop some servers`);
}
