import { describe, expect, it } from '@jest/globals';
import { parse } from './parse.js';

const read = (type: 'txt' | 'md' | 'html', text: string): ReturnType<typeof parse> => parse(type, Buffer.from(text));
const failure = expect.objectContaining({ code: 'PARSE_FAILED' });

describe('parse text and markdown', () => {
  it('keeps text unchanged except for line ends', async () => {
    expect(await read('txt', '# a\r\nb\rc\n')).toEqual({ markdown: '# a\nb\nc\n' });
  });

  it('removes front matter and takes the title from it', async () => {
    const text = '---\r\ntitle: "My notes"\ntags: [a]\n---\n\n# Heading\n\ntext\n';
    expect(await read('md', text)).toEqual({ markdown: '# Heading\n\ntext\n', title: 'My notes' });
  });

  it('takes the title from the first heading and keeps a horizontal rule', async () => {
    const text = '---\n\nnot front matter\n\n---\n\n```\n# code\n```\n\n# The title #\n';
    expect(await read('md', text)).toEqual({ markdown: text, title: 'The title' });
  });

  it('parses very long white space in a heading in bounded time', async () => {
    const started = performance.now();
    expect((await read('md', `# a${' '.repeat(2 ** 20)}b #`)).title).toBe('a');
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('refuses documents without text', async () => {
    await expect(read('md', '---\ntitle: x\n---\n')).rejects.toThrow(failure);
    await expect(read('html', '<script>let a</script><nav>menu</nav>')).rejects.toThrow(failure);
  });
});

describe('parse HTML', () => {
  it('converts headings, paragraphs, lists, tables, code, quotes and links', async () => {
    const { markdown, title } = await read(
      'html',
      `<html><head><title> A
        page </title></head><body><h1>One <i>two</i></h1><p>a &amp; <b>b</b>c<br>d</p>
        <ul><li>x<ol start="3"><li>y<li>z</ol><li><p>w</p></ul>
        <table><tr><th>k<th>v</tr><tr><td>1|2<td>3</table>
        <pre><code class="language-ts">let a = 1;\n  b</code></pre>
        <blockquote>q<p>r</blockquote><a href="https://e.org/x">link</a>, <a href="javascript:x()">no</a></body></html>`,
    );
    expect(title).toBe('A page');
    expect(markdown.split('\n\n')).toEqual([
      '# One two',
      'a & bc\nd',
      '- x\n  3. y\n  4. z\n- w',
      '| k | v |\n| --- | --- |\n| 1\\|2 | 3 |',
      '```ts\nlet a = 1;\n  b\n```',
      '> q\n>\n> r',
      '[link](https://e.org/x), no',
    ]);
  });

  it('leaves out elements that are hidden or not content', async () => {
    const page =
      '<nav>n</nav><aside>a</aside><script>s</script><style>t</style><template>u</template><footer>f</footer>' +
      '<p hidden>h</p><p style="color:red; DISPLAY : none">i</p><p aria-hidden="true">j</p><noscript>k</noscript>' +
      '<!-- c --><main>kept</main><svg><title>v</title><text>w</text></svg>';
    expect(await read('html', page)).toEqual({ markdown: 'kept' });
  });

  it('reads a page with a layout of tables', async () => {
    const { markdown } = await read('html', '<table><tr><td><h2>H</h2><p>text</p></td></tr></table>');
    expect(markdown).toBe('## H\n\ntext');
  });

  it('escapes text that looks like a heading or a fence', async () => {
    const { markdown } = await read('html', '<p># no</p><p>```</p><p>&lt;b&gt; &#0; &#xD800;</p>');
    expect(markdown).toBe('\\# no\n\n\\```\n\n<b> \ufffd \ufffd');
  });

  it.each([
    ['100,000 nested blocks', '<div>'.repeat(100_000)],
    ['nested lists', '<ul><li>'.repeat(100_000)],
    ['nested tables', '<table><tr><td>'.repeat(50_000)],
    [
      'formatting that every paragraph repeats',
      `${Array.from({ length: 200 }, (_, i) => `<b x=${i}>`).join('')}${'<p>x'.repeat(50_000)}`,
    ],
    ['a tag of 100,000 attributes', `<p ${Array.from({ length: 100_000 }, (_, i) => `a${i}`).join(' ')}>x`],
    ['more than 500,000 elements', '<br>'.repeat(500_001)],
  ])('refuses %s', async (_what, page) => {
    await expect(read('html', page)).rejects.toThrow(failure);
  });

  it.each([
    ['paragraphs without end tags', '<p>x'.repeat(100_000)],
    ['line breaks', 'x<br>'.repeat(100_000)],
    ['rows', `<table>${'<tr><td>a</td><td>b</td></tr>'.repeat(20_000)}</table>`],
    ['cells', `<table><tr>${'<td>a</td>'.repeat(50_000)}</tr></table>`],
    ['end tags that close nothing', `x${'</div></p>'.repeat(50_000)}`],
    ['unfinished markup', '<a '.repeat(1000) + '<'.repeat(100_000)],
  ])('reads many %s in bounded time', async (_what, page) => {
    const started = performance.now();
    await read('html', page).catch((error: unknown) => expect(error).toMatchObject({ code: 'PARSE_FAILED' }));
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
