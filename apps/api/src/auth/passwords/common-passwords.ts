/**
 * Of the kinds that the list of zxcvbn leaves to its other checks (runs, repetitions, words with a number or a year), those that
 * are tried first. In lower case, as long as a password must be.
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

let all: Promise<ReadonlySet<string>> | undefined;

/**
 * Whether it is among the some 18,000 passwords, of those that are long enough, that everybody tries first: the list of zxcvbn-ts, by
 * how often they were found in leaks, and a few more. The list is read when the first password is set.
 * @param password in lower case
 */
export async function isCommon(password: string): Promise<boolean> {
  all ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set([...dictionary['passwords-common'], ...PATTERNS]),
  );
  return (await all).has(password);
}
