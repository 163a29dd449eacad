import { MIN_LENGTH } from '../auth/index.js';
import { OPENAPI_PATH } from '../http/index.js';

/** Whether the administrator exists; `unknown` while the database is unavailable. */
export type Administrator = 'missing' | 'present' | 'unknown';

/** The state that decides the content of the page. */
export interface StartPageState {
  /** URL of the API as the client calls it, without a slash at the end. */
  url: string;
  administrator: Administrator;
  needsSetupToken: boolean;
  /** Whether `/docs` is served. */
  reference: boolean;
}

/** An instruction with a command that can be pasted into a shell. */
export interface Step {
  text: string;
  /** One line. The values that the user must fill in are empty, and the API refuses empty ones. */
  command: string;
}

/** The content of the page, which is rendered as HTML or text. */
export interface StartPage {
  title: string;
  lead: string;
  next: { heading: string; step?: Step; note: string };
  links: { path: string; name: string; what: string }[];
}

const LEAD =
  'A knowledge-base backend: upload documents, parse, chunk, index and search them, with users, roles and shared knowledge bases.';
const USE_TOKEN =
  'The response has an access_token. Send it with every request, in the header "authorization: Bearer …".';

/** The page is public, so it has no version, no file path, no user name and no secret. */
export function startPage(state: StartPageState): StartPage {
  return { title: 'Yuxi-Know', lead: LEAD, next: nextStep(state), links: linksOf(state.reference) };
}

function nextStep({ url, administrator, needsSetupToken }: StartPageState): StartPage['next'] {
  if (administrator === 'missing')
    return { heading: 'Create the administrator', step: createAdministrator(url, needsSetupToken), note: USE_TOKEN };
  if (administrator === 'present') return { heading: 'Log in', step: logIn(url), note: USE_TOKEN };
  return {
    heading: 'The database is unavailable',
    note: 'Logins are not possible until it is available again. Load this page again in a moment; the health check names the cause.',
  };
}

function linksOf(reference: boolean): StartPage['links'] {
  return [
    ...(reference ? [{ path: '/docs', name: 'API reference', what: 'all routes, to read and to try' }] : []),
    { path: OPENAPI_PATH, name: 'OpenAPI document', what: 'the same reference for programs' },
    { path: '/health/ready', name: 'Health', what: 'the services that this server needs, and their state' },
  ];
}

/** Renders the page for a terminal. */
export function toText({ title, lead, next, links }: StartPage, url: string): string {
  const step = next.step ? `${next.step.text}\n\n  ${next.step.command}\n\n` : '';
  const width = Math.max(...links.map(({ name }) => name.length));
  const rows = links.map(({ path, name }) => `  ${name.padEnd(width)}  ${url}${path}\n`).join('');
  return `${title}\n${lead}\n\n${next.heading}\n\n${step}${next.note}\n\n${rows}`;
}

/**
 * How to create the administrator. The log prints it at the start, and the start page shows it.
 * @param url of the API, without a slash at the end
 * @param needsSetupToken whether `YUXI_SETUP_TOKEN` is set; its value is never shown
 */
export function createAdministrator(url: string, needsSetupToken: boolean): Step {
  const filledIn =
    `a password of at least ${MIN_LENGTH} characters` + (needsSetupToken ? ' and the value of YUXI_SETUP_TOKEN' : '');
  return {
    text: `No administrator yet. Create one with this command, with ${filledIn} between the empty quotes:`,
    command: post(`${url}/api/auth/initialize`, {
      user_id: 'admin',
      password: '',
      ...(needsSetupToken && { setup_token: '' }),
    }),
  };
}

/** How to log in. @param url of the API, without a slash at the end */
function logIn(url: string): Step {
  return {
    text: 'Log in with this command, with your user name and your password between the empty quotes:',
    command: post(`${url}/api/auth/token`, { username: '', password: '' }),
  };
}

function post(url: string, body: object): string {
  return `curl -X POST ${url} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
}
