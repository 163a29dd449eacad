import { randomBytes } from 'node:crypto';
import { settings, type Database } from '@yuxi/storage';
import { eq } from 'drizzle-orm';

const KEY = 'auth.signing-key';

/** The signing secret of an installation that was given none: made once, the same on every replica and after a restart. */
export async function ownSigningKey(database: Database): Promise<string> {
  const value = randomBytes(48).toString('base64url');
  await database.insert(settings).values({ key: KEY, value }).onConflictDoNothing();
  const [row] = await database.select({ value: settings.value }).from(settings).where(eq(settings.key, KEY));
  if (typeof row?.value !== 'string') throw new Error(`Setting ${KEY} in the database is not a text. Delete that row.`);
  return row.value;
}
