import { OPENAPI_PATH } from '../http/index.js';
import { createAdministrator, logIn, type Step } from './first-steps.js';

/** Whether there is an administrator; `unknown` while the database does not answer. */
export type Administrator = 'missing' | 'present' | 'unknown';

/** What the page depends on. */
export interface StartPageState {
  /** Of the API as the client calls it, without a slash at the end. */
  url: string;
  administrator: Administrator;
  needsSetupToken: boolean;
  /** Whether `/docs` is served. */
  reference: boolean;
}

/** The page, before it becomes HTML or text. */
export interface StartPage {
  title: string;
  lead: string;
  next: { heading: string; step?: Step; note: string };
  links: { path: string; name: string; what: string }[];
}

const LEAD =
  'A knowledge-base backend: upload documents, parse, chunk, index and search them, with users, roles and shared knowledge bases.';
const USE_TOKEN =
  'The answer has an access_token. Send it with every request, in the header "authorization: Bearer …".';

/** What the page says. It holds no version, no path, no name of a user and no secret: anybody may read it. */
export function startPage(state: StartPageState): StartPage {
  return { title: 'Yuxi-Know', lead: LEAD, next: nextStep(state), links: linksOf(state.reference) };
}

function nextStep({ url, administrator, needsSetupToken }: StartPageState): StartPage['next'] {
  if (administrator === 'missing')
    return { heading: 'Create the administrator', step: createAdministrator(url, needsSetupToken), note: USE_TOKEN };
  if (administrator === 'present') return { heading: 'Log in', step: logIn(url), note: USE_TOKEN };
  return {
    heading: 'The database does not answer',
    note: 'Nobody can log in until it does. Load this page again in a moment; the health check says what is missing.',
  };
}

function linksOf(reference: boolean): StartPage['links'] {
  return [
    ...(reference ? [{ path: '/docs', name: 'API reference', what: 'all routes, to read and to try' }] : []),
    { path: OPENAPI_PATH, name: 'OpenAPI document', what: 'the same for programs' },
    { path: '/health/ready', name: 'Health', what: 'what this server needs, and whether it is there' },
  ];
}

/** For a terminal. */
export function toText({ title, lead, next, links }: StartPage, url: string): string {
  const step = next.step ? `${next.step.text}\n\n  ${next.step.command}\n\n` : '';
  const width = Math.max(...links.map(({ name }) => name.length));
  const rows = links.map(({ path, name }) => `  ${name.padEnd(width)}  ${url}${path}\n`).join('');
  return `${title}\n${lead}\n\n${next.heading}\n\n${step}${next.note}\n\n${rows}`;
}
