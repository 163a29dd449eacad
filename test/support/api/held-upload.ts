import { request } from 'node:http';

export interface HeldUpload {
  /** Sends the rest. */
  finish(): void;
  /** The status; rejects when the connection breaks first. */
  answered: Promise<number>;
}

/** An upload of which the server has the headers and half of the body. */
export async function holdUpload(url: string, token: string, filename: string, content: string): Promise<HeldUpload> {
  const boundary = 'held-upload';
  const head = [
    `--${boundary}`,
    `content-disposition: form-data; name="file"; filename="${filename}"`,
    'content-type: text/plain',
    '',
    content,
  ].join('\r\n');
  const tail = `\r\n--${boundary}--\r\n`;
  const upload = request(url, {
    method: 'POST',
    agent: false,
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': Buffer.byteLength(head + tail),
      // The server answers 100 as soon as it has accepted the request.
      expect: '100-continue',
    },
  });
  const answered = new Promise<number>((resolve, reject) => {
    upload.once('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    upload.once('error', reject);
  });
  answered.catch(() => undefined);
  await Promise.race([new Promise((resolve) => upload.once('continue', resolve)), answered]);
  upload.write(head);
  return { finish: () => upload.end(tail), answered };
}
