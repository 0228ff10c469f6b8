/**
 * Command lines and what they mean, for both readers. GrootFS's answers are urfave/cli's over Go's flag
 * package; each row says what a Go program would have seen.
 */
interface Understood {
  readonly verb: string;
  readonly globals?: Record<string, unknown>;
  readonly options?: Record<string, unknown>;
  readonly positionals?: readonly string[];
}
export type Row = readonly [line: string, argv: readonly string[], expected: Understood | string];

const row = (argv: readonly string[], expected: Understood | string): Row => [
  argv.join(' ') || '(nothing)',
  argv,
  expected,
];
const line = (text: string, expected: Understood | string): Row =>
  row(text === '' ? [] : text.split(' '), expected);

const create = (options: Record<string, unknown>, globals = {}): Understood => ({
  verb: 'create',
  globals,
  options,
  positionals: ['/a.tar', 'id'],
});

/** What Garden calls, word for word (guardian, default_command_creator.go). */
const GARDEN: readonly Row[] = [
  line('create /a.tar id', create({})),
  line('create --disk-limit-size-bytes 100000 /a.tar id', create({ 'disk-limit-size-bytes': 100000 })),
  line(
    'create --disk-limit-size-bytes 100000 --exclude-image-from-quota /a.tar id',
    create({ 'disk-limit-size-bytes': 100000, 'exclude-image-from-quota': true }),
  ),
  row(
    ['create', '--username', 'u', '--password', 'p w', '/a.tar', 'id'],
    create({ username: 'u', password: 'p w' }),
  ),
  row(
    ['--store', '/s', 'create', '--username', 'u', '--password', '-p=x', '/a.tar', 'id'],
    create({ username: 'u', password: '-p=x' }, { store: '/s' }),
  ),
  line('--config /c.yml delete id', { verb: 'delete', globals: { config: '/c.yml' }, positionals: ['id'] }),
  line('--config /c.yml stats id', { verb: 'stats', globals: { config: '/c.yml' }, positionals: ['id'] }),
  line('capacity', { verb: 'capacity' }),
];

/** What BOSH calls before Garden starts. */
const BOSH: readonly Row[] = [
  line('--config /c init-store --uid-mapping 0:4294967294:1 --uid-mapping 1:1:4294967293', {
    verb: 'init-store',
    globals: { config: '/c' },
    options: { 'uid-mapping': ['0:4294967294:1', '1:1:4294967293'] },
  }),
  line('--config /c generate-volume-size-metadata', {
    verb: 'generate-volume-size-metadata',
    globals: { config: '/c' },
  }),
  line('init-store --store-size-bytes 10737418240 --with-direct-io', {
    verb: 'init-store',
    options: { 'store-size-bytes': 10737418240, 'with-direct-io': true },
  }),
  line('--tardis-bin /t --newuidmap-bin /u --newgidmap-bin /g --log-timestamp-format rfc3339 list', {
    verb: 'list',
    globals: {
      'tardis-bin': '/t',
      'newuidmap-bin': '/u',
      'newgidmap-bin': '/g',
      'log-timestamp-format': 'rfc3339',
    },
  }),
];

/** Dashes, equals signs and where options end. */
const GRAMMAR: readonly Row[] = [
  line('-store /s list', { verb: 'list', globals: { store: '/s' } }),
  line('--store=/s list', { verb: 'list', globals: { store: '/s' } }),
  line('-store=/s list', { verb: 'list', globals: { store: '/s' } }),
  line('--store=a=b list', { verb: 'list', globals: { store: 'a=b' } }),
  line('--store= list', { verb: 'list', globals: { store: '' } }),
  row(['--store', '', 'list'], { verb: 'list', globals: { store: '' } }),
  line('--store --config list', { verb: 'list', globals: { store: '--config' } }),
  line('--store -x list', { verb: 'list', globals: { store: '-x' } }),
  line('--store -- list', { verb: 'list', globals: { store: '--' } }),
  line('--store - list', { verb: 'list', globals: { store: '-' } }),
  line('--store true list', { verb: 'list', globals: { store: 'true' } }),
  line('--store -5 list', { verb: 'list', globals: { store: '-5' } }),
  line('--store=-- list', { verb: 'list', globals: { store: '--' } }),
  row(['--store', 'a b', 'list'], { verb: 'list', globals: { store: 'a b' } }),
  row(['--store', '"q"', 'list'], { verb: 'list', globals: { store: '"q"' } }),
  row(['--store', "'q'", 'list'], { verb: 'list', globals: { store: "'q'" } }),
  row(['--store', 'a\nb', 'list'], { verb: 'list', globals: { store: 'a\nb' } }),
  row(['--store="q"', 'list'], { verb: 'list', globals: { store: '"q"' } }),
  line('--store 007 list', { verb: 'list', globals: { store: '007' } }),
  line('--store 1e3 list', { verb: 'list', globals: { store: '1e3' } }),
  line('--store /1 --store /2 list', { verb: 'list', globals: { store: '/2' } }),
  line('-- list', { verb: 'list' }),
  line('--store /s -- list', { verb: 'list', globals: { store: '/s' } }),
  line('delete -- id', { verb: 'delete', positionals: ['id'] }),
  line('delete -- --id', { verb: 'delete', positionals: ['--id'] }),
  line('delete -', { verb: 'delete', positionals: ['-'] }),
  row(['delete', ''], { verb: 'delete', positionals: [''] }),
  row(['delete', ' '], { verb: 'delete', positionals: [' '] }),
  line('delete 007', { verb: 'delete', positionals: ['007'] }),
  line('delete 12345678901234567890', { verb: 'delete', positionals: ['12345678901234567890'] }),
  line('delete true', { verb: 'delete', positionals: ['true'] }),
  line('delete a=b', { verb: 'delete', positionals: ['a=b'] }),
  line('delete a.b', { verb: 'delete', positionals: ['a.b'] }),
  line('create -- /a.tar id', create({})),
  line('create --with-clean -- /a.tar id', create({ 'with-clean': true })),
  line('list anything --at all', { verb: 'list', positionals: ['anything', '--at', 'all'] }),
  line('list x -- y', { verb: 'list', positionals: ['x', '--', 'y'] }),
  line('delete-store x', { verb: 'delete-store', positionals: ['x'] }),
  line('clean x', { verb: 'clean', positionals: ['x'] }),
];

/** Booleans take a value behind `=` alone. */
const BOOLEANS: readonly Row[] = [
  line('create --with-clean /a.tar id', create({ 'with-clean': true })),
  line('create -with-clean /a.tar id', create({ 'with-clean': true })),
  line('create --with-clean=true /a.tar id', create({ 'with-clean': true })),
  line('create --with-clean=false /a.tar id', create({ 'with-clean': false })),
  line('create --with-clean=T /a.tar id', create({ 'with-clean': true })),
  line('create --with-clean=0 /a.tar id', create({ 'with-clean': false })),
  line('create --with-clean=False /a.tar id', create({ 'with-clean': false })),
  line('create --with-clean --with-clean=false /a.tar id', create({ 'with-clean': false })),
  line('create --with-clean=yes /a.tar id', 'CLI_BAD_VALUE'),
  line('create --with-clean= /a.tar id', 'CLI_BAD_VALUE'),
  line('create --with-clean true id', {
    verb: 'create',
    options: { 'with-clean': true },
    positionals: ['true', 'id'],
  }),
  line('create --with-clean false id', {
    verb: 'create',
    options: { 'with-clean': true },
    positionals: ['false', 'id'],
  }),
  line('create --username --with-clean /a.tar id', create({ username: '--with-clean' })),
  line('create --username=--with-clean /a.tar id', create({ username: '--with-clean' })),
  line('create --no-with-clean /a.tar id', 'CLI_UNKNOWN_FLAG'),
  line('list --json=false', { verb: 'list', options: { json: false } }),
  line('delete -- --json', { verb: 'delete', positionals: ['--json'] }),
];

const limit = (text: string, value: number): Row =>
  line(`create --disk-limit-size-bytes ${text} /a.tar id`, create({ 'disk-limit-size-bytes': value }));
const badLimit = (text: string): Row =>
  row(['create', '--disk-limit-size-bytes', text, '/a.tar', 'id'], 'CLI_BAD_VALUE');

/** strconv.ParseInt with base 0. */
const INTEGERS: readonly Row[] = [
  limit('0', 0),
  limit('-5', -5),
  limit('+5', 5),
  limit('0x10', 16),
  limit('0b101', 5),
  limit('0o17', 15),
  limit('017', 15),
  limit('1_000_000', 1000000),
  limit('-0x_ff', -255),
  limit('9007199254740991', 9007199254740991),
  limit('9007199254740992', 2 ** 53 - 4096),
  limit('9223372036854775807', 2 ** 53 - 4096),
  limit('0x7fffffffffffffff', 2 ** 53 - 4096),
  limit('-9223372036854775808', -(2 ** 53 - 4096)),
  badLimit('9223372036854775808'),
  badLimit('-9223372036854775809'),
  badLimit('99999999999999999999999999'),
  badLimit('08'),
  badLimit('1__0'),
  badLimit('1_'),
  badLimit('_1'),
  badLimit('1e3'),
  badLimit('1.0'),
  badLimit('abc'),
  badLimit(''),
  badLimit(' 5'),
  // Sizes with units are graft's own.
  limit('10M', 10485760),
  limit('8GiB', 8589934592),
  badLimit('10MB'),
  badLimit('M'),
  badLimit('-1M'),
  badLimit('--5'),
];

const LISTS: readonly Row[] = [
  line('create --insecure-registry a:1 /a.tar id', create({ 'insecure-registry': ['a:1'] })),
  line('create --insecure-registry a:1,b:2 /a.tar id', create({ 'insecure-registry': ['a:1', 'b:2'] })),
  line(
    'create --insecure-registry a --insecure-registry=b,c /a.tar id',
    create({ 'insecure-registry': ['a', 'b', 'c'] }),
  ),
  row(
    ['create', '--insecure-registry', ' a , b ', '/a.tar', 'id'],
    create({ 'insecure-registry': ['a', 'b'] }),
  ),
  row(['create', '--insecure-registry', '', '/a.tar', 'id'], create({ 'insecure-registry': [] })),
];

const HELP_AND_VERSION: readonly Row[] = [
  line('', { verb: 'help' }),
  line('help', { verb: 'help' }),
  line('h', { verb: 'help' }),
  line('-h', { verb: 'help' }),
  line('--help', { verb: 'help' }),
  line('--help create a b c', { verb: 'help' }),
  line('help create', { verb: 'help', positionals: ['create'] }),
  line('create -h', { verb: 'help', positionals: ['create'] }),
  line('create --help /a.tar', { verb: 'help', positionals: ['create'] }),
  line('usage --help', { verb: 'help', positionals: ['usage'] }),
  line('-v', { verb: 'version' }),
  line('--version', { verb: 'version' }),
  line('version', { verb: 'version' }),
  line('--help=false list', { verb: 'list', globals: { help: false } }),
];

const REFUSED: readonly Row[] = [
  line('nosuch', 'CLI_UNKNOWN_VERB'),
  line('constructor', 'CLI_UNKNOWN_VERB'),
  line('__proto__', 'CLI_UNKNOWN_VERB'),
  row([''], 'CLI_UNKNOWN_VERB'),
  line('-', 'CLI_UNKNOWN_VERB'),
  line('Create /a.tar id', 'CLI_UNKNOWN_VERB'),
  line('--bogus list', 'CLI_UNKNOWN_FLAG'),
  line('-b list', 'CLI_UNKNOWN_FLAG'),
  line('--bogus=x list', 'CLI_UNKNOWN_FLAG'),
  line('--constructor x list', 'CLI_UNKNOWN_FLAG'),
  line('--__proto__ x list', 'CLI_UNKNOWN_FLAG'),
  line('--toString list', 'CLI_UNKNOWN_FLAG'),
  line('list --store /s', 'CLI_UNKNOWN_FLAG'),
  line('--json list', 'CLI_UNKNOWN_FLAG'),
  line('create -v /a.tar id', 'CLI_UNKNOWN_FLAG'),
  line('--store.x /s list', 'CLI_UNKNOWN_FLAG'),
  line('--Store /s list', 'CLI_UNKNOWN_FLAG'),
  line('--logLevel debug list', 'CLI_UNKNOWN_FLAG'),
  line('---store /s list', 'CLI_BAD_FLAG_SYNTAX'),
  line('--=x list', 'CLI_BAD_FLAG_SYNTAX'),
  line('-=x list', 'CLI_BAD_FLAG_SYNTAX'),
  line('--store', 'CLI_MISSING_VALUE'),
  line('create --username', 'CLI_MISSING_VALUE'),
  line('create', 'CLI_BAD_ARGUMENTS'),
  line('create /a.tar', 'CLI_BAD_ARGUMENTS'),
  line('create /a.tar id x', 'CLI_BAD_ARGUMENTS'),
  line('create /a.tar id --with-clean', 'CLI_BAD_ARGUMENTS'),
  line('stats', 'CLI_BAD_ARGUMENTS'),
  line('stats a b', 'CLI_BAD_ARGUMENTS'),
  line('delete', 'CLI_ID_MISSING'),
  line('delete a b', 'CLI_ID_MISSING'),
  line('init-store x', 'CLI_BAD_ARGUMENTS'),
  line('generate-volume-size-metadata x', 'CLI_BAD_ARGUMENTS'),
  line('pull', { verb: 'pull' }),
  line('usage x', 'CLI_BAD_ARGUMENTS'),
  line('help a b', 'CLI_BAD_ARGUMENTS'),
];

/** Verbs that GrootFS lacks take options after their arguments too. */
const ANYWHERE: readonly Row[] = [
  line('pull docker:///busybox --require-digest', {
    verb: 'pull',
    options: { 'require-digest': true },
    positionals: ['docker:///busybox'],
  }),
  line('push --mount-from a/b oci:///d --mount-from c/d docker://h/n --json', {
    verb: 'push',
    options: { 'mount-from': ['a/b', 'c/d'], json: true },
    positionals: ['oci:///d', 'docker://h/n'],
  }),
  line('inspect --username a /x --username b', {
    verb: 'inspect',
    options: { username: 'b' },
    positionals: ['/x'],
  }),
  line('pull -- --json', { verb: 'pull', positionals: ['--json'] }),
  line('push oci:///d -- --json', { verb: 'push', positionals: ['oci:///d', '--json'] }),
  line('pull - --json=false', 'CLI_UNKNOWN_FLAG'),
  line('pull /x --username', 'CLI_MISSING_VALUE'),
  line('pull /x /y --require-digest', 'CLI_BAD_ARGUMENTS'),
];

export const ROWS: readonly Row[] = [
  ...GARDEN,
  ...BOSH,
  ...GRAMMAR,
  ...BOOLEANS,
  ...INTEGERS,
  ...LISTS,
  ...HELP_AND_VERSION,
  ...REFUSED,
  ...ANYWHERE,
];
