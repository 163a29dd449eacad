/**
 * Passwords that everybody tries first, in lower case, as long as a password must be. Shorter ones are refused by their
 * length.
 */
export const COMMON_PASSWORDS: ReadonlySet<string> = new Set(
  `
!qaz2wsx 00000000 000000000 0000000000 01234567 012345678 0123456789 0987654321 10101010 10203040 1020304050
11111111 111111111 1111111111 11112222 111222333 11223344 1122334455 112233445566 12121212 12312312 123123123
123321123 12341234 123412345 12344321 1234512345 123454321 12345678 12345678! 123456780 123456781 123456789
123456789! 1234567890 1234567890a 1234567890q 1234567891 12345678910 123456789a 123456789q 12345678a 12345678q
1234567a 1234567q 123456aa 123456ab 123456abc 123456qwe 12345abc 12345qwert 1234abc! 1234abcd 1234qwer 123abc123
123asd123 123qwe123 123qweasd 123qweasdzxc 13131313 1314520520 14725836 147258369 1472583690 159357456 159753456
19871987 19881988 19901990 1a2b3c4d 1password 1q2w3e4r 1q2w3e4r! 1q2w3e4r5t 1q2w3e4r5t6y 1qaz!qaz 1qaz2wsx
1qaz2wsx3edc 1qazxsw2 20082008 20202020 20242024 20252025 21212121 22222222 23456789 31415926 314159265 321321321
33333333 44444444 456456456 52013145 5201314520 5201314a 55555555 555555555 654321123 66666666 741852963 77777777
777777777 789456123 789789789 87654321 88888888 888888888 963852741 987654321 9876543210 99999999 999999999 a1234567
a12345678 a123456789 a1b2c3d4 a1b2c3d4e5 a1s2d3f4 aa123456 aa12345678 aa123456789 aaa111aaa aaaaaaaa aaaaaaaaa
abc123!@# abc12345 abc123456 abc123abc abcabcabc abcd1234 abcd1234! abcd12345 abcd@1234 abcdefg1 abcdefg123 abcdefgh
abcdefghi admin123 admin1234 admin12345 admin123456 admin@123 adminadmin administrator alexander alexander1
alexandra america1 american angel123 angelica angelina angels12 anthony1 anthony12 arsenal1 asd123456 asd123asd
asdasdasd asdf1234 asdf12345 asdf@1234 asdfasdf asdfghjk asdfghjkl asdfghjkl1 asdfqwer ashley12 ashley123 australia
autumn2024 azerty123 azertyuiop baby1234 babyboy1 babygirl babygirl1 bailey12 barcelona barcelona1 baseball
baseball1 baseball12 basketball basketball1 batman12 batman123 beautiful beautiful1 benjamin benjamin1 bestfriend
bigdaddy blahblah blessed1 blink182 blueberry brazil123 brittany brittany1 brooklyn brooklyn1 bubbles1 buster12
buttercup butterfly butterfly1 california camaro69 casper12 catherine celtic1888 champion changeit changeme
changeme1 changeme123 charlie1 charlie12 charlotte charlotte1 cheesecake chelsea1 cheyenne chicago1 chicken1
chocolate chocolate1 christian christian1 christina christine christopher cocacola cocacola1 coffee12 colorado
computer computer1 computer123 cookie12 cookie123 corvette cowboys1 creative cristina cupcake1 cynthia1 daniel12
daniel123 danielle danielle1 darkness december default1 default123 demo1234 deutschland diamond1 diamonds dolphin1
dolphins dragon12 dragon123 dreamer1 elephant elizabet elizabeth elizabeth1 eminem12 everton1 explorer facebook
facebook1 faith123 fernando ferrari1 fireball firebird fishing1 flowers1 football football1 football12 football123
forever1 forever21 fortnite fortnite1 france98 francesca francisco frederick freedom1 friends1 friendship gabriela
gandalf1 gangsta1 garfield garfield1 gateway1 germany1 ginger12 giovanni gmail123 godisgood goldfish gonzalez
google123 greenday greenday1 guest123 guest1234 guitar12 happiness happy123 harley12 harleydavidson heavenly
hello123 hello1234 hello1234! hello12345 hellohello helloworld helloworld1 hercules hockey123 hollywood hotmail1
hunter12 hunter123 iloveme1 iloveu12 iloveyou iloveyou! iloveyou1 iloveyou12 iloveyou123 iloveyou2 iloveyou3
iloveyousomuch infinity internet internet1 internet123 ireland1 ironman1 isabella isabelle jackson1 jasmine1
javier12 jennifer jennifer1 jessica1 jessica12 jesus123 jesus777 jesuschrist jonathan jordan12 jordan123 jordan23
josephine joshua12 juventus juventus1 katherine kawasaki killer12 killer123 kimberly kristina ladybug1 lakers24
leonardo letmein1 letmein12 letmein123 letmeinnow liberty1 liverpool liverpool1 lkjhgfdsa lollipop lollypop london12
lovelife lovelove lovely123 lovers123 loveyou1 loveyou123 maggie12 manchester marlboro marseille marvin12 master12
master123 matthew1 maverick maverick1 mercedes metallica metallica1 michael1 michael12 michelle michelle1 midnight
midnight1 minecraft minecraft1 mitchell mnbvcxzlkjhgfdsa mohammad mohammed monkey12 monkey123 montana1 moonlight
mountain mustang1 mypassword natalie1 natasha1 newcastle newpassword newyork1 nicholas nicholas1 nintendo nirvana1
nothing1 november october1 october10 orange12 p@ssw0rd p@ssw0rd! p@ssw0rd1 p@ssw0rd123 p@ssword p@ssword1 pa$$w0rd
pa$$word pa55word pakistan pakistan123 pantera1 panther1 panthers paradise pass1234 pass12345 pass123456 pass@123
passion1 passpass passpass1 passw0rd passw0rd! passw0rd1 password password! password01 password1 password1!
password11 password12 password123 password123! password1234 password12345 password123456 password13 password1a
password2 password3 password7 password9 password@1 password@123 passwort passwort1 patricia patrick1 peaches1
peanut12 penelope pentium4 pepper12 phoenix1 piglet12 pikachu1 pineapple pink1234 player12 playstation poiuytrewq
pokemon1 pokemon123 popcorn1 porkchop porsche911 portugal power123 precious precious1 princess princess1 princess12
princess123 pumpkin1 purple12 purple123 q1234567 q123456789 q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6 qazwsx123 qazwsxedc
qazwsxedcrfv qq123456 qq123456789 qwe12345 qwe123qwe qweasd123 qweasdzxc qweqweqwe qwer1234 qwer12345 qwerasdf
qwerasdfzxcv qwerty1! qwerty12 qwerty123 qwerty1234 qwerty12345 qwerty123456 qwerty78 qwerty@123 qwertyqwerty
qwertyui qwertyuio qwertyuiop qwertz123 qwertzuiop rachel12 rainbow1 rangers1 rasta420 realmadrid rebecca1 redskins
remember richard1 roberto1 robinson rockstar rockstar1 root1234 root@123 rootroot rosebud1 rottweiler russia12
s123456789 salvador samantha samantha1 samsung1 samsung123 samurai1 sandra12 sandwich savannah scooter1 scorpion
scorpion1 scotland scotland1 sebastian sebastian1 secret123 secretsecret security security1 september1 shadow12
shadow123 shannon1 shopping silver12 simpsons skateboard skittles slipknot slipknot1 snickers snoopy12 snowball
snowball1 soccer12 soccer123 softball software sparkle1 special1 spiderman spiderman1 spiderman123 spring2024
stalker1 stargate startrek starwars starwars1 steelers steelers1 stephanie stephanie1 strawberry student1 student123
sublime1 success1 summer12 summer123 summer2023 summer2024 sunshine sunshine1 sunshine12 sunshine123 superman
superman1 superman123 superstar superstar1 superuser supervisor sweetheart sweetie1 sweetpea sweetpea1 swimming
teacher1 telephone terminator test1234 test12345 test123456 test@123 testing1 testing123 testtest thomas12 thunder1
tigger12 tigger123 tinkerbell titanic1 together toor1234 tottenham trinity1 truelove trustno1 tweety12 twilight
twilight1 user1234 user@123 valentin valentina valentine vanessa1 vanilla1 veronica victoria victoria1 victory1
volleyball w123456789 warcraft warcraft1 warrior1 warriors watermelon welcome1 welcome1! welcome12 welcome123
welcome2023 welcome2024 welcome2025 welcome@1 westside whatever whatever1 william1 williams windows1 winston1
winter12 winter123 winter2024 woaini1314 woaini520 woaini521 woaiwojia wolverine x1234567 xxxxxxxx yamaha12
yamaha123 yankees1 yellow12 z1234567 z123456789 zaq12wsx zaq1xsw2 zaq1zaq1 zeppelin zxc123456 zxcasdqwe zxcvbnm,
zxcvbnm1 zxcvbnm123 zxcvbnmz zxcvzxcv zz123456
`
    .trim()
    .split(/\s+/),
);
