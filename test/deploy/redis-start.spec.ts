import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freePort, temporaryFolder } from '@yuxi/testing';
import { Child } from '../../libs/testing/src/child.js';
import { asStarted, readCompose } from './compose.js';

const run = promisify(execFile);

describe('the Redis of docker-compose.yml', () => {
  const { command, healthcheck } = readCompose().services['redis']!;
  let child: Child | undefined;
  let folder: string;
  let port: number;

  beforeAll(() => {
    expect(command!.slice(0, 2)).toEqual(['sh', '-c']);
    expect(healthcheck!.test![0]).toBe('CMD-SHELL');
  });
  afterEach(() => child?.end());

  /** A line of the file with the places of the container replaced by ours; everything else is what a container runs. */
  const here = (line: string) => {
    const places: Record<string, string> = {
      '/run/secrets/': `${folder}/`,
      '/tmp/': `${folder}/`,
      '--dir /data': `--dir ${folder} --port ${port} --bind 127.0.0.1`,
      'redis-cli': `redis-cli -p ${port}`,
    };
    return asStarted(line).replaceAll(/\/run\/secrets\/|\/tmp\/|--dir \/data|redis-cli/g, (found) => places[found]!);
  };

  const place = async (secret: string) => {
    folder = temporaryFolder('redis-start');
    port = await freePort();
    writeFileSync(join(folder, 'redis_password'), secret);
  };

  const start = async () => {
    child = await Child.start({
      name: 'redis of compose',
      command: 'sh',
      args: ['-c', here(command![2]!)],
      cwd: folder,
      logFile: join(folder, 'log'),
      env: { PATH: process.env['PATH'] },
    });
    return child;
  };

  const isHealthy = () =>
    run('sh', ['-c', here(healthcheck!.test![1]!)]).then(
      () => true,
      () => false,
    );

  /** What a client with this password gets for a PING; without one it does not log in. */
  const answers = async (password: string): Promise<string> => {
    const env = { PATH: process.env['PATH'], ...(password && { REDISCLI_AUTH: password }) };
    const { stdout, stderr } = await run('redis-cli', ['-p', String(port), 'ping'], { env });
    return stdout + stderr;
  };

  it.each([
    'a b/c+d="\'#\\',
    '"quoted"',
    '# no comment',
    'back\\slash\\n',
    '$HOME `id` %s %%',
    'Zürich 密码',
    execFileSync('openssl', ['rand', '-base64', '32'], { encoding: 'utf8' }).trim(),
  ])('starts with the password %s and takes no other', async (password) => {
    await place(`${password}\n`);
    const server = await start();
    await eventually(isHealthy, { describe: 'the health check of the compose file to pass', every: 50 });
    expect(await answers(password)).toBe('PONG\n');
    expect(await answers('wrong')).toMatch(/WRONGPASS|NOAUTH/);
    expect(await answers('')).toMatch(/NOAUTH/);
    expect(readFileSync(`/proc/${server.pid}/cmdline`, 'utf8')).not.toContain(password);
    expect(server.log()).not.toContain(password);

    writeFileSync(join(folder, 'redis_password'), 'another');
    expect(await isHealthy()).toBe(false);
  });

  it('takes no blank and no end of line around the password for a part of it, as the API does', async () => {
    await place('  around \r\n');
    await start();
    await eventually(isHealthy, { describe: 'the health check of the compose file to pass', every: 50 });
    expect(await answers('around')).toBe('PONG\n');
  });

  it('does not start without a password, and prints the remedy', async () => {
    await place('\n');
    const server = await start();
    expect(await server.untilEnd()).toBe(1);
    expect(server.log()).toMatch(/redis_password is empty: run scripts\/make-secrets\.sh/);
  });
});
