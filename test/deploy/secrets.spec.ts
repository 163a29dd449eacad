import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { temporaryFolder } from '@yuxi/testing';
import { readEnv } from '@yuxi/platform';
import { readCompose } from './compose.js';

describe('scripts/make-secrets.sh', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('secrets');
    mkdirSync(join(folder, 'scripts'));
    cpSync('scripts/make-secrets.sh', join(folder, 'scripts/make-secrets.sh'));
  });

  const make = (...args: string[]) =>
    spawnSync('sh', [join(folder, 'scripts/make-secrets.sh'), ...args], { cwd: '/', encoding: 'utf8' });
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  const modeOf = (name: string) => (statSync(join(folder, name)).mode & 0o777).toString(8);

  it('makes every secret that docker-compose.yml mounts, readable inside a folder that only its owner enters', () => {
    expect(make()).toMatchObject({ status: 0, stderr: '' });
    const names = Object.keys(readCompose().secrets);
    expect(readdirSync(join(folder, 'secrets')).toSorted()).toEqual([...names, 'models'].toSorted());
    expect(modeOf('secrets/models')).toBe('755');
    for (const name of names) {
      expect(read(`secrets/${name}`)).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
      // Compose mounts the file as it is, and each container reads it as a user of its own.
      expect(modeOf(`secrets/${name}`)).toBe('444');
    }
    expect(modeOf('secrets')).toBe('700');
    expect(new Set(names.map((name) => read(`secrets/${name}`))).size).toBe(names.length);
    expect(read('.env')).toBe('SECRETS_DIR=./secrets\n');
  });

  it('makes secrets that the API takes', () => {
    make();
    const at = join(folder, 'secrets');
    const { env } = readEnv({
      NODE_ENV: 'production',
      DATABASE_URL: 'postgres://yuxi@postgres:5432/yuxi',
      DATABASE_PASSWORD_FILE: join(at, 'postgres_password'),
      REDIS_HOST: 'redis',
      REDIS_PASSWORD_FILE: join(at, 'redis_password'),
      JWT_SECRET_FILE: join(at, 'jwt_secret'),
      YUXI_SETUP_TOKEN_FILE: join(at, 'setup_token'),
    });
    expect(env.redis).toMatchObject({ host: 'redis', password: read('secrets/redis_password').trim() });
  });

  it('keeps what is there, and makes what is missing, however often it runs', () => {
    mkdirSync(join(folder, 'secrets'));
    writeFileSync(join(folder, 'secrets/redis_password'), 'my own');
    writeFileSync(join(folder, '.env'), 'LOG_LEVEL=debug');
    expect(make().stdout).not.toContain('redis_password');
    const made = read('secrets/jwt_secret');
    expect(make()).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(read('secrets/jwt_secret')).toBe(made);
    expect(read('secrets/redis_password')).toBe('my own');
    expect(read('.env')).toBe('LOG_LEVEL=debug\nSECRETS_DIR=./secrets\n');
  });

  it('takes another folder, and fails with a message when .env already names one', () => {
    expect(make('./elsewhere')).toMatchObject({ status: 0 });
    expect(read('.env')).toBe('SECRETS_DIR=./elsewhere\n');
    const { status, stderr } = make();
    expect(status).toBe(1);
    expect(stderr).toMatch(/^\.env names another folder in SECRETS_DIR/);
  });

  it('prints no secret', () => {
    const { stdout, stderr } = make();
    for (const name of Object.keys(readCompose().secrets))
      expect(stdout + stderr).not.toContain(read(`secrets/${name}`).trim());
  });

  it('explains itself, and refuses what it does not know, without making anything', () => {
    expect(make('--help')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Usage: /) });
    expect(make('--force')).toMatchObject({ status: 64, stderr: expect.stringMatching(/^Usage: /) });
    expect(existsSync(join(folder, 'secrets'))).toBe(false);
  });

  it('makes them where neither Git nor the build of the image takes them along', () => {
    expect(readFileSync('.gitignore', 'utf8').split('\n')).toEqual(expect.arrayContaining(['secrets/', '.env']));
    const lines = readFileSync('.dockerignore', 'utf8').split('\n');
    expect(lines[lines.findIndex((line) => !line.startsWith('#'))]).toBe('**');
    expect(lines.filter((line) => /secrets|\.env/.test(line) && line.startsWith('!'))).toEqual([]);
  });
});
