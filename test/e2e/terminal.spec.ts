import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freePort, programOf } from '@yuxi/testing';

const MINUTES = 180_000;
const CTRL_C = '\u0003';
const ESCAPE = '\u001b';

/** The API on a pseudo-terminal, made by `script` of util-linux or macOS. */
class Terminal {
  #output = '';
  readonly #child: ChildProcess;
  /** Exit code of the API. */
  readonly exit: Promise<number | null>;

  constructor(env: Record<string, string>) {
    const command = [process.execPath, programOf('api')];
    const args =
      process.platform === 'darwin'
        ? ['-q', '/dev/null', ...command]
        : ['-qefc', `exec ${command.map((part) => `'${part}'`).join(' ')}`, '/dev/null'];
    this.#child = spawn('script', args, {
      cwd: folder,
      env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm', METRICS_PORT: '0', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    this.exit = once(this.#child, 'close').then(([code]) => {
      running.delete(this);
      return code as number | null;
    });
    running.add(this);
  }

  /** The lines on the terminal. */
  get lines(): string[] {
    return this.#output.split('\r\n').filter(Boolean);
  }

  async shows(text: string): Promise<void> {
    await eventually(() => this.lines.some((line) => line.includes(text)), {
      timeout: 120_000,
      describe: `${JSON.stringify(text)} on the terminal`,
    });
  }

  type(keys: string): void {
    this.#child.stdin!.write(keys);
  }

  /** The API then gets SIGHUP, like after the close of a window. */
  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exit;
  }
}

let folder: string;
const running = new Set<Terminal>();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'yuxi-terminal-'));
});
afterEach(async () => {
  for (const terminal of running) await terminal.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Checks the lines of a start in embedded mode. */
async function started(terminal: Terminal, port: number): Promise<void> {
  await terminal.shows('curl -X POST');
  const { lines } = terminal;
  expect(lines.length).toBeLessThanOrEqual(8);
  expect(lines.filter((line) => line.startsWith('{'))).toEqual([]);
  expect(lines.join('\n')).not.toContain(ESCAPE);
  const url = `http://127.0.0.1:${port}`;
  expect(lines.slice(-5)).toEqual([
    expect.stringMatching(new RegExp(`^Listening on ${url} `)),
    expect.stringMatching(/^No PostgreSQL, no Redis: .* \.\/\.yuxi /),
    expect.stringMatching(/^No embedding model: /),
    expect.stringMatching(/^No administrator yet\. .* at least 8 characters /),
    `  curl -X POST ${url}/api/auth/initialize -H 'content-type: application/json' -d '{"user_id":"admin","password":""}'`,
  ]);
}

describe('the API on a terminal', () => {
  it(
    'starts with at most eight readable lines, from the creation of the database to the administrator',
    async () => {
      const port = await freePort();
      const terminal = new Terminal({ PORT: String(port), NO_COLOR: '1' });
      await started(terminal, port);
      expect(terminal.lines[0]).toMatch(/^Making the embedded database in .*pg\. /);

      const second = new Terminal({ PORT: String(port), NO_COLOR: '1' });
      expect(await second.exit).toBe(1);
      expect(second.lines).toEqual([
        expect.stringMatching(/^[\d:.]+ FATAL \[Boot\] data folder .* is open in process \d+: stop that process, /),
      ]);

      terminal.type(CTRL_C);
      expect(await terminal.exit).toBe(0);

      const again = new Terminal({ PORT: String(port), YUXI_DATA_DIRR: 'x' });
      await again.shows('curl -X POST');
      expect(again.lines).toHaveLength(6);
      // A warning is one line, and its level has a colour on a terminal with colours.
      expect(again.lines[0]).toMatch(/^[\d:.]+ \S+WARN \S+ \[Env\] YUXI_DATA_DIRR .*did you mean YUXI_DATA_DIR\?$/);
      again.type(CTRL_C);
      expect(await again.exit).toBe(0);
    },
    MINUTES,
  );

  it(
    'lists the problems of an invalid configuration',
    async () => {
      const terminal = new Terminal({ PORT: 'abc', LOG_FORMAT: 'text', TRUSTED_PROXIES: 'true' });
      expect(await terminal.exit).toBe(78);
      expect(terminal.lines).toEqual([
        'Configuration is not usable:',
        ...['PORT', 'TRUSTED_PROXIES', 'LOG_FORMAT'].map((name) => expect.stringMatching(`^  - ${name} `)),
      ]);
    },
    MINUTES,
  );

  it(
    'writes JSON with LOG_FORMAT=json',
    async () => {
      const terminal = new Terminal({ PORT: '0', LOG_FORMAT: 'json', YUXI_DATA_DIR: './json' });
      await terminal.shows('curl -X POST');
      for (const line of terminal.lines) expect(JSON.parse(line)).toMatchObject({ level: expect.any(String) });
      terminal.type(CTRL_C);
      expect(await terminal.exit).toBe(0);
    },
    MINUTES,
  );
});
