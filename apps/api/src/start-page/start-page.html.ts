import type { StartPage } from './start-page.js';

/** The only style of the page. Its Content-Security-Policy allows it by its hash. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --back: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #566171; --line: #dce1e8; --accent: #1d5fb8; --code: #f1f4f8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12161c; --card: #1a2029; --ink: #e7ebf0; --soft: #a3aebc; --line: #2e3743; --accent: #82b4ff; --code: #11151b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: clamp(1.25rem, 6vw, 4rem) 1rem; background: var(--back); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 44rem; margin: 0 auto; }
h1 { margin: 0 0 .5rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.02em; }
h2 { margin: 0 0 .5rem; font-size: 1.15rem; line-height: 1.3; }
p { margin: 0 0 1rem; }
.lead, .note { color: var(--soft); }
.lead { margin-bottom: 1.75rem; }
section { margin-bottom: 1.25rem; padding: 1.25rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
section > :last-child { margin-bottom: 0; }
pre {
  margin: 0 0 1rem; padding: .85rem 1rem; background: var(--code); border: 1px solid var(--line); border-radius: .5rem;
  font: .875rem/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; user-select: all;
}
ul { margin: 0; padding: 0; list-style: none; }
li { padding: .3rem 0; }
li span { color: var(--soft); }
a { color: var(--accent); text-underline-offset: .2em; }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 2px; }
`;

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
  "%3Crect width='16' height='16' rx='4' fill='%231d5fb8'/%3E" +
  "%3Cpath d='M4 4l4 5v4M12 4L8 9' fill='none' stroke='white' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E";

/** Renders the page for a browser: one file, without scripts, that loads nothing. */
export function toHtml({ title, lead, next, links }: StartPage): string {
  const step = next.step
    ? `<p>${escape(next.step.text)}</p>\n<pre><code>${escape(next.step.command)}</code></pre>\n`
    : '';
  const rows = links
    .map(
      ({ path, name, what }) => `<li><a href="${escape(path)}">${escape(name)}</a> <span>– ${escape(what)}</span></li>`,
    )
    .join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escape(title)}</title>
<link rel="icon" href="${ICON}">
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<p class="lead">${escape(lead)}</p>
<section>
<h2>${escape(next.heading)}</h2>
${step}<p class="note">${escape(next.note)}</p>
</section>
<section>
<h2>Reference and health</h2>
<ul>
${rows}
</ul>
</section>
</main>
</body>
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);
}
