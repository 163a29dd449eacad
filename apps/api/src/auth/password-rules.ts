import { ApiError } from '../http/index.js';

/** Counted in code points, which is how most people count characters. */
export const MIN_LENGTH = 8;
/** Hashing a longer password costs the server time and gives the user no security. */
export const MAX_BYTES = 1024;

const PRODUCT_WORDS = ['yuxi-know', 'yuxi know', 'yuxiknow', 'yuxi'];
/** Shorter names occur in any text, so they are not removed. */
const MIN_WORD = 3;

/**
 * Common passwords that the list of zxcvbn omits, because zxcvbn finds them by other checks: runs, repetitions, words with
 * a number or a year. In lower case, and as long as a password must be.
 */
const PATTERNS: readonly string[] = `
00000000 000000000 0000000000 01234567 012345678 0123456789 0987654321 10101010 111111111 1111111111 12121212
123123123 12341234 123412345 1234512345 12345678! 123456789! 1234abc! 13131313 1314520520 19871987 19881988
19901990 1q2w3e4r! 20082008 20202020 20242024 20252025 21212121 22222222 23456789 321321321 33333333 44444444
456456456 52013145 5201314520 5201314a 55555555 555555555 654321123 66666666 77777777 777777777 789789789 87654321
88888888 888888888 987654321 9876543210 99999999 999999999 aa12345678 aaa111aaa aaaaaaaa aaaaaaaaa abc123!@#
abcabcabc abcd1234! abcd@1234 abcdefg123 abcdefgh abcdefghi admin1234 admin12345 admin123456 admin@123 adminadmin
angels12 asdasdasd asdf@1234 autumn2024 barcelona1 brazil123 changeme123 charlie12 computer123 default123 demo1234
facebook1 fortnite fortnite1 gmail123 guest123 guest1234 harleydavidson hello1234! hello12345 helloworld1 hotmail1
iloveu12 iloveyou3 iloveyousomuch internet123 javier12 jessica12 juventus1 letmein12 lkjhgfdsa lovely123 lovers123
loveyou123 marvin12 minecraft1 mnbvcxzlkjhgfdsa october10 p@ssw0rd! p@ssw0rd1 p@ssw0rd123 p@ssword p@ssword1
pa$$word pakistan123 pass12345 pass123456 pass@123 passpass1 passw0rd! password1! password123! password12345
password123456 password1a password@1 password@123 piglet12 pink1234 player12 poiuytrewq princess12 princess123
purple123 qwe12345 qweqweqwe qwerty1! qwerty@123 qwertyqwerty qwertz123 qwertzuiop rachel12 rasta420 root1234
root@123 rootroot russia12 sandra12 scorpion1 scotland1 secretsecret september1 spiderman123 spring2024 student123
summer123 summer2023 summer2024 sunshine12 sunshine123 superstar1 superuser sweetpea1 test12345 test123456 test@123
tigger123 toor1234 tweety12 twilight1 user1234 user@123 w123456789 welcome1! welcome2023 welcome2024 welcome2025
welcome@1 winter123 winter2024 woaini1314 woaini520 woaini521 woaiwojia x1234567 xxxxxxxx yamaha123 zaq1zaq1
zxcvbnm, zxcvzxcv
`
  .trim()
  .split(/\s+/);

let commonPasswords: Promise<ReadonlySet<string>> | undefined;

export function isLongEnough(password: string): boolean {
  return lengthOf(password) >= MIN_LENGTH;
}

export function isShortEnough(password: string): boolean {
  return Buffer.byteLength(password) <= MAX_BYTES;
}

/**
 * Refuses the passwords that attackers try first. These are common ones, and those that are too short without the login
 * name, the user name and the name of the product. There are no rules of composition, and the password is not changed.
 * @throws {ApiError} 422 `PASSWORD_REFUSED`, which names field and rule, never the password
 */
export async function checkPassword(password: string, field: string, words: readonly string[]): Promise<void> {
  const lower = password.toLowerCase();
  if (await isCommon(lower)) throw refused(field, 'common', 'is one of the most common passwords: choose another one');
  if (lengthOf(without(lower, [...words, ...PRODUCT_WORDS])) < MIN_LENGTH)
    throw refused(
      field,
      'context',
      `must have ${MIN_LENGTH} characters besides the login name, the user name and the name of the product`,
    );
}

/**
 * Whether a password is one of about 18,000 common ones that are long enough. These are the list of zxcvbn-ts, ordered by
 * how often leaks have them, and the patterns above. The list is loaded when the first password is set.
 * @param password in lower case
 */
export async function isCommon(password: string): Promise<boolean> {
  commonPasswords ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set([...dictionary['passwords-common'], ...PATTERNS]),
  );
  return (await commonPasswords).has(password);
}

/** Removes longer words first. Otherwise removing `yuxi` would leave `-know`. */
function without(text: string, words: readonly string[]): string {
  return words
    .map((word) => word.toLowerCase())
    .filter((word) => lengthOf(word) >= MIN_WORD)
    .sort((a, b) => b.length - a.length)
    .reduce((rest, word) => rest.replaceAll(word, ''), text);
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}

function refused(path: string, rule: string, message: string): ApiError {
  return new ApiError('PASSWORD_REFUSED', `${path} ${message}`, { errors: [{ path, message }], details: { rule } });
}
