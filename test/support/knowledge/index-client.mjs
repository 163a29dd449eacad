import { setTimeout as pause } from 'node:timers/promises';

// One of several client processes. It receives its order, answers "ready", and sends all requests after "go".
process.once('message', (order) => {
  process.once('message', () => {
    // An error ends the process with the reason on stderr; the test detects the early exit.
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

/** A replica that was stopped during a request answers 503 when it continues, because its session was ended. The client then tries again. */
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
