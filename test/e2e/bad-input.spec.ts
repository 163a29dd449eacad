import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { filePart, FORM_END, FORM_TYPE, part, send, sendRaw, type WireRequest } from '../support/api/wire.js';

const DATABASES = '/api/knowledge/databases';
const USERS = '/api/auth/users';
const JSON_TYPE = 'application/json';
const LIMIT = 50 * 1024 * 1024;
const LUA = `') redis.call('FLUSHALL') --`;
const CANARY = 'yuxi:test:canary';
const problem = { detail: expect.any(String), code: expect.any(String), request_id: expect.any(String) };

let fleet: Fleet;
let redis: Redis;
let dbId: string;

beforeAll(async () => {
  fleet = await startFleet({ replicas: 1 });
  dbId = await createKnowledgeBase(fleet.apis[0]!, fleet.token, 'bad input');
  redis = new Redis(fleet.redis.url, { password: fleet.redis.password });
  await redis.set(CANARY, 'alive');
}, 60_000);

afterAll(async () => {
  redis?.disconnect();
  await fleet?.stop();
}, 60_000);

const server = () => fleet.replicas[0]!;
const bearer = () => ({ authorization: `Bearer ${fleet.token}` });
const call = (request: WireRequest) => send(server(), { ...request, headers: { ...bearer(), ...request.headers } });
const post = (path: string, body: string | Buffer, type: string | undefined = JSON_TYPE) =>
  call({
    path,
    body,
    headers: { ...(type && { 'content-type': type }), 'content-length': String(Buffer.byteLength(body)) },
  });
const get = (path: string) => call({ method: 'GET', path });
const uploadPath = () => `/api/knowledge/files/upload?db_id=${dbId}`;
const upload = (...parts: Buffer[]) => post(uploadPath(), Buffer.concat([...parts, FORM_END]), FORM_TYPE);
const named = (filename: string, content: string | Buffer = `the text of ${filename}`) =>
  upload(filePart(filename, content));
/** Megabytes of memory that the server holds. */
const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server().pid}/status`, 'utf8'))![1]) / 1024;
async function rise(work: () => Promise<unknown>): Promise<number> {
  const before = rss();
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, rss())), 5);
  try {
    await work();
  } finally {
    clearInterval(watch);
  }
  return peak - before;
}

const routes = (id: string): [string, string, string?][] => [
  ['GET', `${DATABASES}/${id}`],
  ['POST', `${DATABASES}/${id}/query`, '{"query":"x"}'],
  ['POST', `${DATABASES}/${id}/documents/index`, '{"file_ids":["a"]}'],
  ['GET', `/api/tasks/${id}`],
  ['POST', `/api/knowledge/files/upload?db_id=${id}`],
];
const bounded = (boundary: string, content = 'x') =>
  post(
    uploadPath(),
    Buffer.concat([filePart('a.txt', content), FORM_END]),
    `multipart/form-data; boundary=${boundary}`,
  );
const user = (fields: string) => post(USERS, `{"username":"u","password":"long enough",${fields}}`);
const database = (json: string) => post(DATABASES, json);

type Row = [row: string, send: () => Promise<{ status: number; body: unknown }>, status: number, names?: RegExp];

const BODIES: Row[] = [
  ['1 empty body', () => database(''), 400],
  ['2 null', () => database('null'), 400],
  ['3 a list for an object', () => database('[]'), 400],
  ['4 a text for an object', () => database('"str"'), 400],
  ['5 cut off', () => database('{"a":'), 400, /position 5/],
  ['6 comma at the end', () => database('{"database_name":"a",}'), 400, /position 21/],
  ['7 byte order mark', () => database('\ufeff{"database_name":"a"}'), 400, /byte order mark/],
  ['8 UTF-16', () => post(DATABASES, Buffer.from('{"database_name":"a"}', 'utf16le')), 415],
  ['9 no content type', () => post(DATABASES, '{"database_name":"a"}', ''), 415],
  ['10 XML', () => post(DATABASES, '<a/>', 'text/xml'), 415],
  ['11 unknown field', () => database('{"database_name":"a","colour":"red"}'), 400, /colour/],
  ['12 number as text', () => user('"department_id":"5"'), 400, /department_id/],
  ['13 1e400', () => user('"department_id":1e400'), 400, /department_id/],
  ['14 2^53 + 1', () => user('"department_id":9007199254740993'), 400, /department_id/],
  ['15 minus zero', () => user('"department_id":-0'), 400, /department_id/],
  ['15 NaN', () => user('"department_id":NaN'), 400, /department_id/],
  ['16 lone surrogate', () => database('{"database_name":"\\ud800"}'), 400, /database_name/],
  ['17 NUL', () => database('{"database_name":"a\\u0000b"}'), 400, /database_name/],
  ['18 key twice', () => database('{"database_name":"a","database_name":"b"}'), 400, /database_name/],
  ['19 1,000 levels', () => database(`{"additional_params":${'['.repeat(1000)}${']'.repeat(1000)}}`), 400, /additional/],
  ['20 a million items', () => post(`${DATABASES}/${dbId}/documents/parse`, `[${'0,'.repeat(1e6)}0]`), 413],
  ['20 too many items in a small body', () => post(`${DATABASES}/${dbId}/documents/parse`, `[${'0,'.repeat(1e5)}0]`), 413],
]; // prettier-ignore

const ADDRESSES: Row[] = [
  ['21 negative page', () => get(`${USERS}?page=-1`), 400, /page/],
  ['22 huge limit', () => get(`${USERS}?limit=1000000000`), 400, /limit/],
  ['22 huge limit of tasks', () => get('/api/tasks?limit=1000000000'), 400, /limit/],
  ['23 limit twice', () => get(`${USERS}?limit=10&limit=20`), 400, /limit/],
  ['24 malformed id', () => get(`${USERS}/6ba7b810-9dad-11d1-80b4`), 400, /id|whole number/],
  ['24 id that no task has', () => get('/api/tasks/6ba7b810-9dad-11d1-80b4-zz'), 404],
  ['25 a day that does not exist', () => get(`${USERS}?since=2026-02-30`), 400, /since/],
];

const FORMS: Row[] = [
  ['26 empty form', () => upload(), 400],
  ['27 two files', () => upload(filePart('a.txt', 'one'), filePart('b.txt', 'two')), 400],
  ['28 no bytes', () => named('empty.txt', ''), 422, /empty\.txt/],
  ['29 no boundary', () => post(uploadPath(), filePart('a.txt', 'x'), 'multipart/form-data'), 400],
  ['29 boundary of 5,000 characters', () => bounded('B'.repeat(5000)), 400, /boundary/],
  ['29 boundary of 71 characters', () => bounded('B'.repeat(71)), 400, /boundary/],
  ['29 empty boundary', () => bounded(''), 400, /boundary/],
  ['29 boundary twice', () => bounded('B; boundary=C'), 400, /boundary/],
  ['29 boundary with a forbidden character', () => bounded('"B@B"'), 400, /boundary/],
  ['29 boundary with a space at its end', () => bounded('"B "'), 400, /boundary/],
  ['29 boundary that is not closed', () => bounded('"B'), 400, /Content-Type/],
  ['30 no file name', () => upload(part('name="file"', 'x')), 400, /file/],
  ['30 empty file name', () => upload(part('name="file"; filename=""', 'x')), 400, /name/],
];

const FILES: Row[] = [
  ['K2 .exe', () => named('tool.exe'), 415, /tool\.exe/],
  ['K2 PDF named .html', () => named('page.html', '%PDF-1.7\n1 0 obj'), 415, /page\.html/],
  ['K2 GIF and page at once', () => named('gif.html', Buffer.from('GIF89a\x01\0\x01\0\0\0;<html>hi</html>', 'latin1')), 415, /gif\.html/],
  ['K2 page and PDF at once', () => named('pdf.txt', ' \n%PDF-1.7\n<html>hi</html>'), 415, /pdf\.txt/],
  ['K2 archive in a text', () => named('zip.md', Buffer.from('PK\x03\x04\x14\0\0\0\x08\0rest', 'latin1')), 415, /zip\.md/],
  ['K1 folders, encoded', () => named('%2e%2e%2fpasswd.txt'), 400, /name/],
  ['K1 NUL', () => named('a\0.txt'), 400],
  ['K1 a device', () => named('CON.txt'), 400, /name/],
  ['K1 only folders', () => named('../../'), 400, /name/],
  ['K1 two endings', () => named('shell.php;.pdf'), 415, /\.php;\.pdf/],
]; // prettier-ignore

describe('a wrong request', () => {
  // Rows of equal length: with one argument less, jest would pass a callback as the last parameter.
  const rows = [...BODIES, ...ADDRESSES, ...FORMS, ...FILES].map(
    ([row, sendIt, status, names = /./]) => [row, sendIt, status, names] as const,
  );
  it.each(rows)('%s', async (_row, sendIt, status, names) => {
    const answer = await sendIt();
    expect({ status: answer.status, body: answer.body }).toMatchObject({ status, body: problem });
    expect(JSON.stringify(answer.body)).toMatch(names);
    expect(JSON.stringify(answer.body)).not.toMatch(/node_modules|\.ts:|\.js:|select |insert |\/tmp\//i);
  });

  it.each([
    ['../../etc/passwd.txt', 'passwd.txt'],
    ['..\\\\..\\\\boot.txt', 'boot.txt'],
    ['/etc/shadow.txt', 'shadow.txt'],
    ['evil\u202etxt.md', 'eviltxt.md'],
    [`${'a'.repeat(300)}.txt`, `${'a'.repeat(251)}.txt`],
  ])('K1 with the file name %s stores a safe name', async (given, filename) => {
    const { status, body } = await named(given);
    expect({ status, body }).toMatchObject({
      status: 201,
      body: { filename, file_path: expect.stringMatching(/^upload_[0-9a-f]{32}$/) },
    });
  });

  it('K8 with content that is stored already is answered with the existing file', async () => {
    const first = await named('once.txt', 'the same words');
    expect(first.status).toBe(201);
    const again = await named('twice.txt', 'the same words');
    expect(again).toMatchObject({
      status: 409,
      body: { ...problem, details: { file_id: first.body['file_id'], filename: 'once.txt' } },
    });
  });
});

describe('K3 a large body', () => {
  const megabyte = Buffer.alloc(1024 * 1024, 'x');
  function* content(bytes: number) {
    yield filePart('big.txt', '').subarray(0, -2);
    for (let left = bytes; left > 0; left -= megabyte.length)
      yield megabyte.subarray(0, Math.min(left, megabyte.length));
    yield Buffer.concat([Buffer.from('\r\n'), FORM_END]);
  }
  const streamed = (bytes: number, headers: Record<string, string> = {}) => ({
    path: uploadPath(),
    headers: { 'content-type': FORM_TYPE, ...headers },
    body: content(bytes),
  });

  it.each<[string, () => WireRequest]>([
    ['one byte over the limit', () => streamed(LIMIT + 1)],
    ['60 MB in chunks', () => streamed(60 * 1024 * 1024, { 'transfer-encoding': 'chunked' })],
    [
      '60 MB with its length announced',
      () => streamed(60 * 1024 * 1024, { 'content-length': String(60 * 1024 * 1024 + 200) }),
    ],
  ])('of %s is refused', async (_name, request) => {
    let answer: unknown;
    const megabytes = await rise(async () => (answer = await call(request())));
    expect(answer).toMatchObject({ status: 413, body: { ...problem, code: 'PAYLOAD_TOO_LARGE' } });
    expect(megabytes).toBeLessThan(50);
  });

  it('within the limit is stored completely', async () => {
    const text = Buffer.from(Array.from({ length: 300_000 }, (_, i) => `line ${i}\n`).join(''));
    const answer = await named('large.txt', text);
    expect(answer).toMatchObject({
      status: 201,
      body: { content_hash: createHash('sha256').update(text).digest('hex') },
    });
  });

  it('with a wrong Content-Length is refused', async () => {
    const head = `POST ${uploadPath()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${fleet.token}\r\nContent-Type: ${FORM_TYPE}\r\n`;
    const huge = await sendRaw(server(), `${head}Content-Length: 2000000000\r\n\r\n--B`);
    expect(huge).toMatchObject({ status: 413, body: problem });
    const short = filePart('short.txt', 'more than the length says').toString() + FORM_END.toString();
    const cut = await sendRaw(server(), `${head}Content-Length: 20\r\nConnection: close\r\n\r\n${short}`);
    expect(cut).toMatchObject({ status: 400, body: problem });
    const word = await sendRaw(server(), `${head}Content-Length: 2e9\r\n\r\n--B`);
    expect(word).toMatchObject({ status: 400, body: problem });
  });
});

describe('a text that attacks Redis', () => {
  const HOSTILE = ['kb\r\nFLUSHALL\r\n', '{kb}', '*', 'kb_*', 'a\0b', 'yuxi:lock:index', '../yuxi:lock:index'];

  it.each(HOSTILE.map((id) => [JSON.stringify(id), id]))('R1 is not found as the id %s', async (_shown, id) => {
    for (const [method, path, body] of routes(encodeURIComponent(id))) {
      const headers: Record<string, string> = { 'content-type': body ? JSON_TYPE : FORM_TYPE };
      const answer = await call({ method, path, body, headers: method === 'GET' ? {} : headers });
      expect([400, 404]).toContain(answer.status);
      expect(answer.body).toMatchObject(problem);
    }
    const items = await post(`${DATABASES}/${dbId}/documents/index`, JSON.stringify({ file_ids: [id] }));
    expect([400, 404]).toContain(items.status);
  });

  it('R1 is refused as an id of a megabyte', async () => {
    const id = 'a'.repeat(1024 * 1024);
    expect(await post(`${DATABASES}/${dbId}/documents/index`, `{"file_ids":["${id.slice(100)}"]}`)).toMatchObject({
      status: 400,
      body: problem,
    });
    expect(await get(`${DATABASES}/${id.slice(0, 8000)}`)).toMatchObject({ status: 414, body: problem });
    const line = `GET ${DATABASES}/${id} HTTP/1.1\r\nHost: x\r\n\r\n`;
    // The server closes the connection of such a request, which may overtake its response.
    expect([431, 0]).toContain((await sendRaw(server(), line)).status);
  });

  it('R2 stays text when it is Lua in a file name, a search or a setting', async () => {
    const file = await named(`${LUA}.txt`, `Lua: ${LUA}`);
    expect(file).toMatchObject({ status: 201, body: { filename: `${LUA}.txt` } });
    const added = await post(
      `${DATABASES}/${dbId}/documents`,
      JSON.stringify({ items: [file.body['file_path']], params: { auto_index: true } }),
    );
    expect(added.status).toBe(202);
    const result = await eventually(
      async () => {
        const { body } = await post(`${DATABASES}/${dbId}/query`, JSON.stringify({ query: LUA }));
        return (body['result'] as unknown[]).length > 0 && body['result'];
      },
      { timeout: 10_000, describe: 'the file to be found' },
    );
    expect(JSON.stringify(result)).toContain(LUA);
    for (const json of [
      { key: LUA, value: 1 },
      { key: 'log_level', value: LUA },
    ])
      expect(await post('/api/system/config', JSON.stringify(json))).toMatchObject({ status: 422, body: problem });
  });

  it('leaves only keys of the product in Redis', async () => {
    const keys = await redis.keys('*');
    expect(keys).toContain(CANARY);
    expect(keys.filter((key) => !key.startsWith('yuxi:') || /FLUSHALL|\0|\*|[\r\n]/.test(key))).toEqual([]);
  });
});

it('the API is ready after all wrong requests', async () => {
  expect(await send(server(), { method: 'GET', path: '/health/ready' })).toMatchObject({
    status: 200,
    body: { status: 'ok' },
  });
});
