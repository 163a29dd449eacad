import { MIN_LENGTH } from '../auth/index.js';

/** What to do next, and a command that can be pasted into a shell. */
export interface Step {
  text: string;
  /** One line. What the person has to fill in is empty, so that the command is refused until it is. */
  command: string;
}

/**
 * How the administrator is created: printed at the start, and shown by the start page.
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

/** How a user logs in. @param url of the API, without a slash at the end */
export function logIn(url: string): Step {
  return {
    text: 'Log in with this command, with your user name and your password between the empty quotes:',
    command: post(`${url}/api/auth/token`, { username: '', password: '' }),
  };
}

function post(url: string, body: object): string {
  return `curl -X POST ${url} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
}
