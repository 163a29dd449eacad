import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HttpApp } from '../../../../test/support/api/http-app.js';

let http: HttpApp;
beforeAll(async () => {
  http = await HttpApp.start();
});
afterAll(() => http.close());

function part(disposition: string, content: string): string {
  return `--B\r\nContent-Disposition: form-data; ${disposition}\r\nContent-Type: text/plain\r\n\r\n${content}\r\n`;
}

const problem = { detail: expect.any(String), code: expect.any(String), request_id: expect.any(String) };

describe('on the wire', () => {
  const head = 'Host: x\r\nContent-Type: application/json\r\n';
  it.each([
    ['garbage', 'GARBAGE\r\n\r\n', 400],
    ['headers too large', `GET /api/t HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(64 * 1024)}\r\n\r\n`, 431],
    [
      'length and chunks',
      `POST /api/t HTTP/1.1\r\n${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['unknown transfer coding', `POST /api/t HTTP/1.1\r\n${head}Transfer-Encoding: chunked x\r\n\r\n0\r\n\r\n`, 400],
    ['announced too large', `POST /api/t HTTP/1.1\r\n${head}Content-Length: 100000000\r\n\r\n`, 413],
    ['body that never arrives', `POST /api/t HTTP/1.1\r\n${head}Content-Length: 10\r\n\r\n{`, 408],
  ])('%s', async (_name, request, status) => {
    const answer = await http.raw(request);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer.toLowerCase()).toContain('x-content-type-options: nosniff');
    expect(answer).toMatch(/\{"detail":"[^"]+","code":"[^"]+","request_id":"[^"]+"/);
  });
});

describe('uploads', () => {
  const TYPE = 'multipart/form-data; boundary=B';
  const file = (content: string) => part('name="file"; filename="a.txt"', content);
  const upload = (body: string, type = TYPE) => http.post(body, type, '/api/t/upload');

  it('reads one file and ignores text fields', async () => {
    const answer = await upload(
      `${part('name="note"', 'hello').replace('Content-Type: text/plain\r\n', '')}${file('x'.repeat(1000))}--B--\r\n`,
    );
    expect(answer).toMatchObject({ status: 201, body: { filename: 'a.txt', size: 1000 } });
  });

  it('removes folders from the name', async () => {
    const answer = await upload(`${part('name="file"; filename="../../etc/passwd"', 'x')}--B--\r\n`);
    expect(answer.body['filename']).toBe('passwd');
  });

  it.each<[string, string, number, string]>([
    ['26 empty form', '--B--\r\n', 400, TYPE],
    ['26 nothing at all', '', 400, TYPE],
    ['27 two files', `${file('1')}${file('2')}--B--\r\n`, 400, TYPE],
    ['29 no boundary', `${file('1')}--B--\r\n`, 400, 'multipart/form-data'],
    ['29 another boundary', `${file('1')}--B--\r\n`, 400, 'multipart/form-data; boundary=C'],
    ['30 no file name', `${part('name="file"', 'x')}--B--\r\n`, 400, TYPE],
    ['30 empty file name', `${part('name="file"; filename=""', 'x')}--B--\r\n`, 400, TYPE],
    ['cut off', file('1').slice(0, -5), 400, TYPE],
    ['one byte too many', `${file('x'.repeat(1001))}--B--\r\n`, 413, TYPE],
    ['far too many', `${file('x'.repeat(500_000))}--B--\r\n`, 413, TYPE],
    ['not a form', '{}', 415, 'application/json'],
    ['many parts', `${part('name="a"', 'x').repeat(40)}--B--\r\n`, 400, TYPE],
  ])('%s', async (_name, body, status, type) => {
    expect(await upload(body, type)).toMatchObject({ status, body: problem });
  });

  it('answers 503 with Retry-After when uploads take too much space, and frees the space of each', async () => {
    const spooled = (mebibytes: number) =>
      http.post(`${file('x'.repeat(mebibytes * 1024 * 1024))}--B--\r\n`, TYPE, '/api/t/spooled');
    for (let time = 0; time < 2; time++) {
      const refused = await spooled(3);
      expect(refused).toMatchObject({ status: 503, body: { ...problem, code: 'OVERLOADED' } });
      expect(refused.headers['retry-after']).toBe('1');
      expect(await spooled(5)).toMatchObject({ status: 413 });
      expect(await spooled(2)).toMatchObject({ status: 201, body: { size: 2 * 1024 * 1024, used: 2 * 1024 * 1024 } });
    }
    const twice = await http.post(`${file('x'.repeat(1500_000))}${file('1')}--B--\r\n`, TYPE, '/api/t/spooled');
    expect(twice).toMatchObject({ status: 400 });
    expect((await spooled(2)).status).toBe(201);
  });

  it('refuses an upload by its Content-Length, before the body', async () => {
    const answer = await http.raw(
      `POST /api/t/upload HTTP/1.1\r\nHost: x\r\nContent-Type: ${TYPE}\r\nContent-Length: 2000000000\r\n\r\n--B`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });

  it('keeps the connection when it refuses early, so that a client that still sends receives the response', async () => {
    const length = 100_000;
    const refused = `POST /api/t/upload HTTP/1.1\r\nHost: x\r\nContent-Type: ${TYPE}\r\nContent-Length: ${length}\r\n\r\n`;
    const answers = await http.talk([
      [refused, /^HTTP\/1.1 413 /],
      [`${'x'.repeat(length)}GET /api/none HTTP/1.1\r\nHost: x\r\n\r\n`, /HTTP\/1.1 404 /],
    ]);
    expect(answers.match(/HTTP\/1\.1 \d/g)).toHaveLength(2);
  });
});
