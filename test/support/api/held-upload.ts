import { request } from 'node:http';

export interface HeldUpload {
  /** Sends the rest of the body. */
  finish(): void;
  /** Status of the response; rejects when the connection breaks before. */
  answered: Promise<number>;
}

/** Starts an upload, and sends the headers and a part of the body. */
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
      // The server answers 100 when it has accepted the request.
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
