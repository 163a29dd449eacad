import { connect } from 'node:net';

const REQUEST = Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n');

/**
 * Sends requests to a server on several connections, one request at a time on each.
 * @returns answers per second, and the number of answers by status
 */
export async function load(port, { connections, ms }) {
  const statuses = new Map();
  const state = { answers: 0, ended: false };
  const from = performance.now();
  await Promise.all(Array.from({ length: connections }, () => runConnection(port, statuses, state, from + ms)));
  return { rate: (state.answers * 1000) / (performance.now() - from), statuses: Object.fromEntries(statuses) };
}

function runConnection(port, statuses, state, end) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(REQUEST));
    socket.setNoDelay(true);
    let text = '';
    socket.on('data', (piece) => {
      text += piece.toString('latin1');
      const length = /content-length: (\d+)\r\n/i.exec(text);
      const head = text.indexOf('\r\n\r\n');
      if (head < 0 || !length || text.length < head + 4 + Number(length[1])) return;
      const status = text.slice(9, 12);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      state.answers++;
      text = '';
      if (performance.now() < end) socket.write(REQUEST);
      else socket.end(resolve);
    });
    socket.on('error', reject);
  });
}
