import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Address and password of a server. */
export interface RedisAddress {
  host: string;
  port: number;
  password?: string;
  /** PEM of the certificate authority. Without it there is no TLS. */
  ca?: string;
}

/** Where the reply that starts at `at` ends; -1 when it is not complete yet. */
function replyEnd(text: string, at: number): number {
  const line = text.indexOf('\r\n', at);
  if (line < 0) return -1;
  const type = text[at];
  const count = Number(text.slice(at + 1, line));
  let end = line + 2;
  if (type === '$' && count >= 0) end += count + 2;
  const parts = type === '*' ? count : 0;
  for (let i = 0; i < parts && end >= 0; i++) end = replyEnd(text, end);
  return end <= text.length ? end : -1;
}

/**
 * Sends one command over a new connection. @returns the raw reply as text; empty when the server does not answer. Never rejects.
 * Arguments must not contain spaces.
 */
export function askRedis(address: RedisAddress, command: string, timeout = 1_000): Promise<string> {
  const { host, port, password, ca } = address;
  return new Promise((resolve) => {
    const socket = ca ? connectTls({ host, port, ca, servername: 'localhost' }) : connect({ host, port });
    const expected = password ? 2 : 1;
    let reply = '';
    const finish = (): void => {
      socket.destroy();
      resolve(reply);
    };
    socket.setTimeout(timeout, finish);
    socket.on('error', finish);
    socket.on('close', finish);
    socket.on('data', (chunk: Buffer) => {
      reply += chunk.toString('latin1');
      let end = 0;
      for (let i = 0; i < expected && end >= 0; i++) end = replyEnd(reply, end);
      if (end >= 0) finish();
    });
    socket.write(`${password ? `AUTH ${password}\r\n` : ''}${command}\r\n`);
  });
}
