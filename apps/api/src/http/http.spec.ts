import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HttpApp } from '../../../../test/support/api/http-app.js';

let http: HttpApp;
beforeAll(async () => {
  http = await HttpApp.start();
});
afterAll(() => http.close());

function post(body: string | Buffer) {
  return http.post(body, 'application/json', '/api/t');
}

function get(url: string, headers?: Record<string, string>) {
  return http.get(url, headers);
}

function form(text: string | Buffer) {
  return http.post(text, 'application/x-www-form-urlencoded', '/api/t/form');
}

const problem = { detail: expect.any(String), code: expect.any(String), request_id: expect.any(String) };

describe('bodies', () => {
  it('accepts a valid one, and the handler runs in the context of the request', async () => {
    const answer = await http.app.inject({
      method: 'POST',
      url: '/api/t',
      payload: { name: ' x ', count: 2 },
      headers: { 'x-request-id': 'my.id-1' },
    });
    expect(answer.json()).toEqual({ body: { name: 'x', count: 2 }, id: 'my.id-1' });
    expect(answer.headers['x-request-id']).toBe('my.id-1');
  });

  it.each<[string, string | Buffer, number, string]>([
    ['1 empty body', '', 400, ''],
    ['2 null', 'null', 400, ''],
    ['3 array for an object', '[]', 400, ''],
    ['4 string for an object', '"str"', 400, ''],
    ['5 cut off', '{"a":', 400, ''],
    ['6 trailing comma', '{"name":"x",}', 400, ''],
    ['7 byte order mark', '\ufeff{"name":"x"}', 400, ''],
    ['8 UTF-16', Buffer.from('{"name":"x"}', 'utf16le'), 415, ''],
    ['11 unknown field', '{"name":"x","role":"superadmin"}', 400, 'role'],
    ['12 number as a string', '{"name":"x","count":"5"}', 400, 'count'],
    ['13 number out of range', '{"name":"x","count":1e400}', 400, 'count'],
    ['14 integer beyond 2^53', '{"name":"x","count":9007199254740993}', 400, 'count'],
    ['15 negative zero', '{"name":"x","count":-0}', 400, 'count'],
    ['15 NaN', '{"name":"x","count":NaN}', 400, 'count'],
    ['16 lone surrogate', '{"name":"\\ud800"}', 400, 'name'],
    ['17 NUL', '{"name":"\\u0000"}', 400, 'name'],
    ['18 duplicate key', '{"name":"x","name":"y"}', 400, 'name'],
    ['19 depth', `{"name":${'['.repeat(1000)}${']'.repeat(1000)}}`, 400, 'name'],
    ['20 a million elements', `[${'1,'.repeat(1_000_000)}1]`, 413, ''],
    ['24 malformed uuid', '{"name":"x","ids":["zz"]}', 400, 'ids.0'],
    ['control character', '{"name":"a\\u0007"}', 400, 'name'],
  ])('%s', async (_name, payload, status, field) => {
    const answer = await post(payload);
    expect(answer).toMatchObject({ status, body: problem });
    expect(answer.body['detail']).toContain(field);
  });

  it('does not repeat values in messages', async () => {
    const answer = await post('{"name":"x","ids":["sensitive-value"],"count":"sensitive-value"}');
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).not.toContain('sensitive-value');
  });

  it.each([
    ['9 none', undefined],
    ['10 XML', 'text/xml'],
    ['plain text', 'text/plain'],
    ['a form on a route without forms', 'application/x-www-form-urlencoded'],
    ['another charset', 'application/json; charset=utf-16'],
    ['nonsense', 'nonsense'],
  ])('content type: %s is 415', async (_name, type) => {
    const answer = await http.app.inject({
      method: 'POST',
      url: '/api/t',
      payload: Buffer.from('{"name":"x"}'),
      headers: type ? { 'content-type': type } : {},
    });
    expect(answer.statusCode).toBe(415);
    expect(answer.json()).toMatchObject(problem);
  });

  it('refuses compressed bodies', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    const answer = await http.app.inject({ method: 'POST', url: '/api/t', payload: 'x', headers });
    expect(answer.statusCode).toBe(415);
  });

  it('reads forms on the routes named, strictly', async () => {
    expect((await form('username=a%40b&password=p+w%26%C3%A9&x')).body).toEqual({
      username: 'a@b',
      password: 'p w&é',
      x: '',
    });
    for (const bad of ['', 'a=1&a=2', 'a=%', 'a=%ff', 'a=%00', '__proto__=1', Buffer.from([0x61, 0x3d, 0xff])])
      expect((await form(bad)).status).toBe(400);
  });
});

describe('queries and paths', () => {
  it.each([
    ['21 negative page', 'page=-1', 'page'],
    ['22 huge limit', 'limit=1000000000', 'limit'],
    ['23 repeated', 'limit=10&limit=20', 'limit'],
    ['25 a day that does not exist', 'since=2026-02-30', 'since'],
    ['fraction', 'page=1.5', 'page'],
    ['exponent', 'page=1e3', 'page'],
    ['empty', 'page=', 'page'],
    ['brackets', 'page[$gt]=1', 'page[$gt]'],
    ['unknown', 'offset=1', 'offset'],
    ['NUL', 'page=%00', 'NUL'],
  ])('%s is 400', async (_name, query, field) => {
    const answer = await get(`/api/t?${query}`);
    expect(answer).toMatchObject({ status: 400, body: problem });
    expect(answer.body['detail']).toContain(field);
  });

  it('reads valid ones', async () => {
    expect((await get('/api/t?limit=10&since=2026-02-28')).body).toEqual({ page: 1, limit: 10, since: '2026-02-28' });
    expect((await get('/api/t/by-id/7')).body).toEqual({ id: 7 });
    expect((await get('/api/t/by-id/7x')).status).toBe(400);
  });

  it('accepts one spelling of a path', async () => {
    for (const url of ['/nothing', '/api/T', '/api/t/', '//api/t', '/api/t;x', '/.env', '/api/t/../../x'])
      expect(await get(url)).toMatchObject({ status: 404, body: { ...problem, code: 'NOT_FOUND' } });
    expect((await http.app.inject({ method: 'DELETE', url: '/api/t' })).statusCode).toBe(404);
  });

  it('answers requests that the router refuses in the same form', async () => {
    expect(await get('/api/t/%E0%A4%A')).toMatchObject({ status: 400, body: problem });
    expect(await get(`/api/t/by-id/${'1'.repeat(500)}`)).toMatchObject({ status: 414, body: problem });
    expect((await get('/api/t/%zz')).headers).toMatchObject({ 'x-content-type-options': 'nosniff' });
  });
});

describe('errors', () => {
  it.each<[string, number, Record<string, unknown>]>([
    ['plain', 500, { detail: 'Internal error', code: 'INTERNAL_ERROR' }],
    ['unknown', 500, { detail: 'Internal error', code: 'INTERNAL_ERROR' }],
    ['redis', 503, { code: 'REDIS_UNAVAILABLE' }],
    ['full', 503, { code: 'QUEUE_FULL' }],
    ['conflict', 412, { detail: 'changed', code: 'CONFIG_CONFLICT', details: { revision: 4 } }],
    ['attempts', 429, { detail: '登录尝试过于频繁，请稍后再试', code: 'TOO_MANY_ATTEMPTS' }],
    ['teapot', 418, { detail: 'short and stout', code: 'REQUEST_REFUSED' }],
  ])('%s is %i', async (how, status, body) => {
    const answer = await get(`/api/t/fail/${how}`, { 'x-request-id': 'r1' });
    expect(answer).toMatchObject({ status, body: { ...body, request_id: 'r1' } });
    expect(JSON.stringify(answer.body)).not.toMatch(/secret|passwd|stack|\.ts/);
    if (status === 429) expect(answer.headers['retry-after']).toBe('13');
    if (status === 503) expect(answer.headers['retry-after']).toBe('1');
  });

  it('have the security headers and none that describe the server', async () => {
    for (const url of ['/api/t', '/nothing', '/api/t/fail/plain', '/api/t?page=x']) {
      const { headers } = await get(url, { origin: 'https://elsewhere.example' });
      expect(headers).toMatchObject({
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'strict-transport-security': expect.stringContaining('max-age'),
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'x-request-id': expect.stringMatching(/^[\w.-]{1,64}$/),
      });
      for (const name of ['x-powered-by', 'server', 'access-control-allow-origin'])
        expect(headers[name]).toBeUndefined();
    }
  });

  it('have a new request id when the given one could forge a log line', async () => {
    for (const id of ['a b', 'x'.repeat(65), '"><script>', ''])
      expect((await get('/api/t', { 'x-request-id': id })).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});
