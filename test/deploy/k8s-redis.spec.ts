import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { resolveEnv } from '@yuxi/core';
import { runSeed, seededRandom } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { load, workloads } from './manifests.js';
import { LocalContainer, type Running } from './pod.js';

const manifests = load('k8s/redis-deployment.yaml');
const { pod } = workloads(manifests).find(({ name }) => name === 'redis')!;
const [container] = pod.containers;
const MOUNT = '/run/secrets/redis';

const random = seededRandom(runSeed());
const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
const printable = (length: number): string =>
  String.fromCharCode(...Array.from({ length }, () => 32 + Math.floor(random() * 95)));

/** What `openssl rand -base64 32` prints, and worse. */
const PASSWORDS: [string, string][] = [
  ['base64 with its end of line', `${bytes(32).toString('base64')}\n`],
  ['slashes, plus and equals signs', '//+a/b+c==/'],
  ['blanks inside', 'two  words and more'],
  ['quotes', `it's "quoted" and 'again`],
  ['a hash sign first', '#not a comment'],
  ['backslashes', 'back\\slash\\n\\x41\\'],
  ['what a shell would expand', '$(id)`id`$HOME ${PATH} * ~ ! %s %d'],
  ['a dash first', '-n -e'],
  ['letters beyond ASCII', 'пароль 密码 ü'],
  ['blanks around and a Windows end of line', '  padded\tand ended \r\n'],
  ['a thousand characters', bytes(750).toString('base64')],
  ...Array.from({ length: 5 }, (_, i): [string, string] => [`printable characters ${i}`, `a${printable(40)}z`]),
];

/** What the API makes of the same file. */
const asTheApiReads = (local: LocalContainer): string =>
  resolveEnv(
    { REDIS_PASSWORD_FILE: join(local.folders.get(MOUNT)!, 'REDIS_PASSWORD') },
    { secrets: ['REDIS_PASSWORD'], readFile: (path) => readFileSync(path, 'utf8') },
  ).env['REDIS_PASSWORD']!;

const make = (password: string) =>
  LocalContainer.make(manifests, container!, pod.volumes ?? [], {
    'yuxi-know-secrets': { REDIS_PASSWORD: password },
  });

describe('the Redis pod of k8s/redis-deployment.yaml', () => {
  let running: Running | undefined;

  afterEach(async () => {
    await running?.stop();
    running = undefined;
  });

  it.each(PASSWORDS)('starts, and lets the API in, with a password of %s', async (_what, content) => {
    const local = await make(content);
    running = await local.start('Ready to accept connections');

    const password = asTheApiReads(local);
    const redis = new Redis({ port: local.port, host: '127.0.0.1', password, retryStrategy: () => null });
    try {
      expect(await redis.ping()).toBe('PONG');
      expect(await redis.config('GET', 'maxmemory*')).toEqual(expect.arrayContaining(['noeviction']));
    } finally {
      redis.disconnect();
    }
    for (const probe of [container!.startupProbe!, container!.readinessProbe!])
      expect(await local.run(probe.exec!.command)).toMatchObject({ status: 0 });
    expect(execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(running.pid)], { encoding: 'utf8' })).not.toContain(
      password,
    );
    expect(running.output).not.toContain(password);
  });

  it.each(['wrong', ''])('fails its probes with the password %j', async (wrong) => {
    const [local, other] = [await make('the right one'), await make(wrong)];
    running = await local.start('Ready to accept connections');
    other.port = local.port;
    for (const probe of [container!.startupProbe!, container!.readinessProbe!]) {
      expect(await local.run(probe.exec!.command)).toMatchObject({ status: 0 });
      expect(await other.run(probe.exec!.command)).toMatchObject({ status: 1 });
    }
  });

  it('fails its probes when nothing listens', async () => {
    const local = await make('the right one');
    for (const probe of [container!.startupProbe!, container!.readinessProbe!])
      expect(await local.run(probe.exec!.command)).toMatchObject({ status: 1 });
  });

  it('refuses every client that has no password', async () => {
    const local = await make('the right one');
    running = await local.start('Ready to accept connections');
    const redis = new Redis({ port: local.port, host: '127.0.0.1', retryStrategy: () => null });
    // The command below fails with the same error.
    redis.on('error', () => undefined);
    await expect(redis.set('a', 'b')).rejects.toThrow('NOAUTH');
    redis.disconnect();
  });

  it('ends with a message that names the Secret when the password is empty', async () => {
    const local = await make(' \n');
    await expect(local.start('Ready to accept connections')).rejects.toThrow(
      'ended with 78: REDIS_PASSWORD of the Secret yuxi-know-secrets is empty',
    );
  });
});
