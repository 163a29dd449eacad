import { describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Log, type LogOptions, requestContext } from '../index.js';

function capture(options: LogOptions = {}) {
  const written: string[] = [];
  const log = new Log({ pretty: false, ...options, destination: { write: (line) => written.push(line) } });
  const lines = () => written.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, written, lines };
}

describe('Log', () => {
  it('writes one JSON object a line, with level, time, process, context and message', () => {
    const { log, lines } = capture();
    log.log('hello', 'Main');
    expect(lines()).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        pid: process.pid,
        context: 'Main',
        message: 'hello',
      },
    ]);
  });

  it('adds the id of the present request', async () => {
    const { log, lines } = capture();
    await requestContext.run({ requestId: 'r-1' }, async () => {
      await Promise.resolve();
      log.warn('in');
    });
    log.warn('out');
    expect(lines().map((line) => line['request_id'])).toEqual(['r-1', undefined]);
  });

  it('writes one line also when the data contain a line break', () => {
    const { log, written } = capture();
    log.log('bad\n{"level":"fatal","message":"forged"}');
    expect(written).toHaveLength(1);
    expect(written.join('').split('\n')).toHaveLength(2);
  });

  it('accepts the arguments of Nest: fields, errors, stacks and several messages', () => {
    const { log, lines } = capture();
    log.error('failed', new Error('why'), 'Main');
    log.error(new Error('alone'));
    log.error('failed', 'Error: why\n    at main.js:1', 'Main');
    log.log({ message: 'with fields', size: 3 }, 'Main');
    log.log('one', 'two', 'Main');
    log.log(undefined);
    log.log('forged', { level: 'fatal', pid: 1 });
    expect(lines()).toMatchObject([
      { message: 'failed', context: 'Main', err: { message: 'why', type: 'Error', stack: expect.any(String) } },
      { message: 'alone', err: { message: 'alone' } },
      { message: 'failed', context: 'Main', stack: expect.stringContaining('main.js') },
      { message: 'with fields', size: 3, context: 'Main' },
      { message: 'one two', context: 'Main' },
      {},
      { level: 'info', level_: 'fatal', pid: process.pid, pid_: 1 },
    ]);
  });

  it('receives the lines of the Logger of libraries', () => {
    const { log, lines } = capture();
    Logger.overrideLogger(log);
    try {
      new Logger('Library').error('failed', new Error('why'));
      new Logger('Library').debug('not shown');
    } finally {
      Logger.overrideLogger(false);
    }
    expect(lines()).toMatchObject([{ level: 'error', context: 'Library', message: 'failed', err: { message: 'why' } }]);
  });

  it('hides secrets in messages, fields and errors', () => {
    const { log, written } = capture();
    log.log('connecting to redis://:hunter2@host', { password: 'hunter2', headers: { Authorization: 'hunter2' } });
    log.error(new Error('refused postgres://u:hunter2@host'));
    expect(written.join('')).not.toContain('hunter2');
  });

  it('drops lines of lower levels, and the level may change while running', () => {
    const { log, lines } = capture({ level: 'warn' });
    log.log('no');
    log.level = 'debug';
    log.debug('yes');
    log.setLogLevels(['error', 'fatal']);
    log.warn('no');
    log.setLogLevels([]);
    log.fatal('no');
    expect(lines().map(({ message }) => message)).toEqual(['yes']);
    expect(() => (log.level = 'loud')).toThrow(/LOG_LEVEL must be one of trace, .* got "loud"/);
    expect(() => new Log({ level: '' })).toThrow(/LOG_LEVEL/);
  });

  it('as readable text: one line, then the fields, a stack below, and no control characters of the data', () => {
    const { log, written } = capture({ pretty: true });
    log.warn('careful\n\u001b[31mred', { size: 3 }, 'Main');
    log.error('failed', new Error('why'));
    expect(written[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}\[Main\] careful\\n\\u001b\[31mred size=3\n$/);
    expect(written[1]).toMatch(/ERROR failed\n {4}Error: why\n {4}at /);
  });

  it('as readable text: a warning is one line, also with an error', () => {
    const { log, written } = capture({ pretty: true });
    log.warn('careful', new Error('why'), 'Main');
    log.warn(new Error('alone'));
    expect(written).toEqual([
      expect.stringMatching(/WARN {2}\[Main\] careful err=why\n$/),
      expect.stringMatching(/WARN {2}alone\n$/),
    ]);
  });

  it('as readable text: the level has a colour if colours are enabled', () => {
    const { log, written } = capture({ pretty: true, colors: true });
    log.warn('careful');
    log.log('plain');
    expect(written[0]).toContain(' \u001b[33mWARN \u001b[39m careful\n');
    expect(written[1]).toMatch(/^[\d:.]+ INFO {2}plain\n$/);
  });

  it('writes a notice as its text alone in readable text, and as an ordinary line in JSON', () => {
    const readable = capture({ pretty: true });
    readable.log.notice(`  curl -d '{"password":""}' redis://:hunter2@host\u001b[2J`, 'Main');
    expect(readable.written).toEqual([`  curl -d '{"password":""}' redis://:[redacted]@host\\u001b[2J\n`]);
    const json = capture();
    json.log.notice('Listening', 'Main');
    expect(json.lines()).toMatchObject([{ level: 'info', context: 'Main', message: 'Listening' }]);
    for (const { log, written } of [capture({ pretty: true, level: 'warn' }), capture({ level: 'warn' })]) {
      log.notice('Listening', 'Main');
      expect(written).toEqual([]);
    }
  });
});
