// Uploads with plain HTTP and bodies made beforehand: on two cores a costly client would be measured instead of the server.
import { Agent, request } from 'node:http';
import { cranfield } from '@yuxi/testing';

const AT_ONCE = 8;
const BOUNDARY = 'yuxi-bench';

/** @param {import('@yuxi/testing').Document} document */
function bodyOf(document) {
  const head = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="${document.id}.txt"\r\ncontent-type: text/plain\r\n\r\n`;
  return Buffer.from(`${head}${cranfield.fileContent(document)}\r\n--${BOUNDARY}--\r\n`);
}

/** @returns a function that uploads all documents, spread over the servers, and gives the ids of the accepted ones */
export function prepareUpload(baseUrls, token, documents) {
  const bodies = documents.map(bodyOf);
  return async (dbId) => {
    const agent = new Agent({ keepAlive: true });
    const ids = [];
    let next = 0;
    const lane = async () => {
      while (next < bodies.length) {
        const index = next++;
        const url = `${baseUrls[index % baseUrls.length]}/api/knowledge/files/upload?db_id=${dbId}`;
        const { status, body } = await post(agent, url, token, bodies[index]);
        if (status < 300) ids.push(JSON.parse(body).file_id);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    agent.destroy();
    return ids;
  };
}

function post(agent, url, token, body) {
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
    'content-length': body.length,
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode, body: text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
