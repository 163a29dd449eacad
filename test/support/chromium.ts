import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PROGRAM = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find((path) => existsSync(path));

export const CHROMIUM_ABSENT = 'Chromium is not installed (Debian: apt-get install chromium)';

/** @returns a browser that the caller closes; undefined when none is installed */
export async function startChromium(): Promise<Browser | undefined> {
  if (PROGRAM === undefined) return undefined;
  // The sandbox does not work as root, for example in a container. Only pages of the tests are opened.
  const args = ['--no-sandbox', '--disable-background-networking', '--disable-dev-shm-usage'];
  return chromium.launch({ executablePath: PROGRAM, args });
}
