import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { temporaryFolder } from '@yuxi/testing';
import { makeCertificates } from '../../libs/testing/src/redis/tls.js';
import { load, workloads } from './manifests.js';
import { LocalContainer } from './pod.js';

const manifests = load('k8s/redis-deployment.yaml');
const { pod } = workloads(manifests).find(({ kind, name }) => kind === 'Job' && name === 'redis-password')!;
const [container] = pod.containers;

interface Secret {
  metadata: { name: string; resourceVersion: string };
  data?: Record<string, string>;
}

const toBase64 = (text: string): string => Buffer.from(text).toString('base64');

/** As much of the API server as the Job needs: one namespace with at most one Secret. */
class SecretsServer {
  secret: Secret | undefined;
  readonly calls: string[] = [];
  /** Acts as another client between the read and the write of the job. */
  beforeWrite: (() => void) | undefined;
  #version = 0;

  put(data: Record<string, string>): void {
    const resourceVersion = String(++this.#version);
    this.secret = { metadata: { name: 'yuxi-know-secrets', resourceVersion }, data };
  }

  answer(method: string, path: string, body: string, authorization: string | undefined): [number, unknown] {
    this.calls.push(`${method} ${path}`);
    if (authorization !== 'Bearer the-token') return [401, {}];
    if (method === 'GET') return this.secret ? [200, this.secret] : [404, {}];
    this.beforeWrite?.();
    const { metadata, stringData } = JSON.parse(body) as Secret & { stringData: Record<string, string> };
    const made = Object.fromEntries(Object.entries(stringData).map(([key, text]) => [key, toBase64(text)]));
    if (method === 'POST') {
      if (this.secret) return [409, {}];
      this.put(made);
      return [201, this.secret];
    }
    if (metadata.resourceVersion !== this.secret?.metadata.resourceVersion) return [409, {}];
    this.put({ ...this.secret?.data, ...made });
    return [200, this.secret];
  }
}

describe('the Job that makes the password of Redis', () => {
  const api = new SecretsServer();
  let server: Server;
  let ca: string;

  beforeEach(async () => {
    const { certFile, keyFile, caFile } = await makeCertificates(temporaryFolder('tls'));
    ca = readFileSync(caFile, 'utf8');
    server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (piece: string) => (body += piece));
      request.on('end', () => {
        const [status, answer] = api.answer(request.method!, request.url!, body, request.headers.authorization);
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    Object.assign(api, { secret: undefined, beforeWrite: undefined });
    api.calls.length = 0;
  });

  afterEach(() => new Promise((resolve) => server.close(resolve)));

  async function runJob(token = 'the-token') {
    const local = await LocalContainer.make(manifests, container!, pod.volumes ?? [], {});
    const folder = local.folders.get('/run/secrets/kubernetes')!;
    for (const [name, text] of Object.entries({ token, 'ca.crt': ca, namespace: 'yuxi-know' }))
      writeFileSync(join(folder, name), text);
    const { port } = server.address() as AddressInfo;
    return local.run(container!.command!, {
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: String(port),
    });
  }

  const password = (): string => Buffer.from(api.secret?.data?.['REDIS_PASSWORD'] ?? '', 'base64').toString();

  it('makes the Secret with a random password where there is none, and prints no part of it', async () => {
    const { status, output } = await runJob();
    expect({ status, output }).toEqual({
      status: 0,
      output: 'Secret yuxi-know-secrets has a new, random REDIS_PASSWORD\n',
    });
    expect(password()).toMatch(/^[\w-]{43}$/);
    const first = password();
    api.secret = undefined;
    await runJob();
    expect(password()).not.toBe(first);
  });

  it('leaves a password alone that is there', async () => {
    api.put({ REDIS_PASSWORD: toBase64('mine') });
    expect(await runJob()).toMatchObject({ status: 0, output: expect.stringContaining('nothing to do') });
    expect(password()).toBe('mine');
    expect(api.calls).toEqual(['GET /api/v1/namespaces/yuxi-know/secrets/yuxi-know-secrets']);
  });

  it('adds the password to a Secret that has other keys, and keeps those', async () => {
    api.put({ JWT_SECRET: toBase64('signs') });
    expect(await runJob()).toMatchObject({ status: 0 });
    expect(api.secret?.data).toEqual({ JWT_SECRET: toBase64('signs'), REDIS_PASSWORD: expect.any(String) });
  });

  it.each([undefined, { JWT_SECRET: toBase64('signs') }])(
    'keeps a password that another client writes between its read and its write, when the Secret is %j at first',
    async (before) => {
      if (before) api.put(before);
      api.beforeWrite = () => {
        api.beforeWrite = undefined;
        api.put({ REDIS_PASSWORD: toBase64('theirs') });
      };
      expect(await runJob()).toMatchObject({ status: 0 });
      expect(password()).toBe('theirs');
    },
  );

  it('fails, and says with which status, when the API server refuses it', async () => {
    expect(await runJob('another-token')).toMatchObject({
      status: 1,
      output: expect.stringContaining('the API server answered 401'),
    });
  });

  it('refuses a server that the authority of the cluster did not sign', async () => {
    ca = readFileSync((await makeCertificates(temporaryFolder('tls'))).caFile, 'utf8');
    expect(await runJob()).toMatchObject({ status: 1 });
    expect(api.calls).toEqual([]);
  });
});
