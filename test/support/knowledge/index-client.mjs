import { setTimeout as pause } from 'node:timers/promises';

// One of several client processes: told what to send, it says "ready" and sends everything at "go".
process.once('message', (order) => {
  process.once('message', () => {
    // A failure ends the process with its reason on stderr; the test sees the early exit.
    sendAll(order).then((taskIds) => process.send({ taskIds }, () => process.disconnect()), fail);
  });
  process.send('ready');
});

async function sendAll({ baseUrl, token, dbId, batches, params }) {
  const taskIds = [];
  for (const file_ids of batches) {
    const { status, body } = await send({ baseUrl, token, dbId, file_ids, params });
    if (status !== 202) throw new Error(`${baseUrl} answered ${status}: ${JSON.stringify(body)}`);
    taskIds.push(body.task_id);
  }
  return taskIds;
}

/** A replica that was stopped in the middle of a request wakes up to an ended session, and says to try again: so it is done. */
async function send({ baseUrl, token, dbId, file_ids, params }) {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(`${baseUrl}/api/knowledge/databases/${dbId}/documents/index`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ file_ids, params }),
    });
    const body = await response.json();
    if (response.status !== 503 || attempt === 5) return { status: response.status, body };
    await pause(200 * attempt);
  }
}

function fail(error) {
  console.error(error);
  process.exit(1);
}
