import { afterEach, describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { chunk, ParseError, UnsupportedTypeError } from '../../text/index.js';
import { DocumentTooLargeError } from '../indexing.errors.js';
import { type DocumentThreadLimits, DocumentThreads } from './document-threads.js';

const bytes = (text: string) => new TextEncoder().encode(text);
/** Parsing it exceeds each limit of these tests. */
const large = () => bytes(`<html><body>${'<p>A <b>bold</b> and <i>long</i> text.</p>'.repeat(50_000)}</body></html>`);

describe('DocumentThreads', () => {
  let threads: DocumentThreads;
  const start = (limits?: DocumentThreadLimits) => (threads = new DocumentThreads(limits));
  afterEach(() => threads.onApplicationShutdown());

  it('parses documents', async () => {
    start();
    const html = bytes('<title>Swallows</title><h1>Of swallows</h1><p>They fly.</p>');
    expect(await threads.parse('html', html)).toMatchObject({
      title: 'Swallows',
      markdown: expect.stringContaining('# Of swallows'),
    });
    expect(await threads.parse('txt', bytes('a\r\nb'))).toEqual({ markdown: 'a\nb' });
  });

  it('reports errors of parsing with their class', async () => {
    start();
    await expect(threads.parse('txt', bytes('  '))).rejects.toBeInstanceOf(ParseError);
    await expect(threads.parse('txt', new Uint8Array([0, 1, 2, 255, 0, 0]))).rejects.toBeInstanceOf(
      UnsupportedTypeError,
    );
  });

  it.each([
    ['time', { time: 30 }, 'takes more than 0.03 s'],
    ['memory', { memory: 32 }, 'takes more than 32 MB of memory'],
  ])('stops a document that needs too much %s, and parses the next one', async (_, limits, message) => {
    start({ threads: 1, ...limits });
    await expect(threads.parse('html', large())).rejects.toThrow(message);
    await threads.onApplicationShutdown();
    start({ threads: 1 });
    expect((await threads.parse('txt', bytes('next'))).markdown).toBe('next');
  });

  it('stops when the signal of the caller aborts, and parses the next document', async () => {
    start({ threads: 1 });
    const controller = new AbortController();
    const reading = threads.parse('html', large(), controller.signal);
    controller.abort(new Error('cancelled'));
    await expect(reading).rejects.toThrow('cancelled');
    expect((await threads.parse('txt', bytes('next'))).markdown).toBe('next');
  });

  const cutting = (markdown: string, limits = { chunks: 10_000, terms: 1_000_000 }) => {
    const order = { fileId: 'file_1', markdown, options: { size: 64 }, known: [], limits };
    return (signal = new AbortController().signal) => threads.cut(order, signal);
  };

  it.each([
    ['in one call', 20],
    ['in steps', 2000],
  ])('divides documents %s into the same chunks as the library', async (_, paragraphs) => {
    start();
    const text = Array.from({ length: paragraphs }, (__, i) => `# Part ${i}\n\nWing ${i} bends in the flow.`).join(
      '\n\n',
    );
    await using cut = await cutting(text)();
    const texts: string[] = [];
    for await (const step of cut.steps()) texts.push(...step.texts);
    expect(texts).toEqual(chunk(text, { size: 64 }).map((each) => each.text));
    expect(cut.plan).toEqual({ fresh: texts.length, kept: [] });
  });

  it('reports why a document is too large, and frees its thread', async () => {
    start({ threads: 1 });
    const long = 'wing flow air '.repeat(10_000);
    await expect(cutting(long, { chunks: 5, terms: 1 })()).rejects.toBeInstanceOf(DocumentTooLargeError);
    await using cut = await cutting(long, { chunks: 10_000, terms: 10 })();
    await expect(cut.steps().next()).rejects.toThrow('more than the 10 of the setting max_document_terms');
    await cut[Symbol.asyncDispose]();
    expect((await threads.parse('txt', bytes('next'))).markdown).toBe('next');
  });

  it.each(['disposed of', 'aborted'])('frees its thread when a document in progress is %s', async (how) => {
    start({ threads: 1 });
    const stop = new AbortController();
    const cut = await cutting('wing flow air '.repeat(100_000))(stop.signal);
    const steps = cut.steps();
    expect((await steps.next()).done).toBe(false);
    if (how === 'aborted') {
      stop.abort(new Error('cancelled'));
      await expect(Promise.all([steps.next(), steps.next(), steps.next()])).rejects.toThrow('cancelled');
    }
    await cut[Symbol.asyncDispose]();
    expect((await threads.parse('txt', bytes('next'))).markdown).toBe('next');
  });

  it('does not block the event loop while it parses', async () => {
    start();
    let longest = 0;
    let last = monotonicMs();
    const timer = setInterval(() => {
      longest = Math.max(longest, monotonicMs() - last);
      last = monotonicMs();
    }, 1);
    const from = monotonicMs();
    await threads.parse('html', large());
    clearInterval(timer);
    expect(longest).toBeLessThan((monotonicMs() - from) / 2);
  });
});
