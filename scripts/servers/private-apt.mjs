import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * Lists and cache of apt in a separate folder, for a later release of Debian than this machine has. The package sources of the machine do
 * not change.
 * @param type `deb` for ready packages, `deb-src` for sources
 * @returns options of apt-get
 * @throws Error when Debian's keys are not installed
 */
export function trixieIn(folder, type) {
  if (!existsSync(KEYRING)) throw new Error(`${KEYRING} is not there, so packages from trixie cannot be verified`);
  for (const name of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(folder, name), { recursive: true });
  const line = `${type} [signed-by=${KEYRING}] http://deb.debian.org/debian trixie main\n`;
  writeFileSync(join(folder, 'sources.list'), line);
  return [
    `Dir::Etc::sourcelist=${join(folder, 'sources.list')}`,
    'Dir::Etc::sourceparts=-',
    `Dir::State=${join(folder, 'state')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
    'Dir::State::status=/var/lib/dpkg/status',
    // The user of the download helper has no access to this folder.
    'APT::Sandbox::User=',
    'Acquire::http::Timeout=15',
    'Acquire::Retries=1',
  ].flatMap((setting) => ['-o', setting]);
}
