import { type Command, succeeds } from './peers/process.ts';

/** Null if all commands succeed on this machine, otherwise the sentence. */
const unless =
  (sentence: string, ...commands: readonly Command[]) =>
  (): string | null =>
    commands.every(succeeds) ? null : sentence;

const python = (program: string): Command => ['python3', '-c', program];

const containerPrograms = unless(
  'buildah and runc are not installed (Debian: apt-get install buildah runc)',
  ['buildah', '--version'],
  ['runc', '--version'],
);

/** For every program that tests run: null if it is installed, otherwise a sentence that says how to install it. */
export const missing = {
  certtool: unless('certtool is not installed (Debian: apt-get install gnutls-bin)', ['certtool', '--version']),
  containers: (): string | null =>
    process.getuid?.() === 0 ? containerPrograms() : 'only root can start containers with a limit of their memory',
  cryptography: unless(
    'cryptography for Python is not installed (Debian: apt-get install python3-cryptography)',
    python('from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12'),
  ),
  faketime: unless('faketime is not installed (Debian: apt-get install faketime)', ['faketime', '--version']),
  go: unless('Go is not installed (https://go.dev/dl)', ['go', 'version']),
  jdk: unless('no JDK is installed (Debian: apt-get install default-jdk-headless)', ['javac', '-version']),
  nginx: unless('nginx is not installed (Debian: apt-get install nginx)', ['nginx', '-v']),
  nss: unless(
    'NSS and a C compiler are not installed (Debian: apt-get install gcc libnss3-dev pkg-config)',
    ['pkg-config', 'nss'],
    ['cc', '--version'],
  ),
  openssl: unless('openssl is not installed (Debian: apt-get install openssl)', ['openssl', 'version']),
  pk12util: unless('pk12util is not installed (Debian: apt-get install libnss3-tools)', [
    'sh',
    '-c',
    'command -v pk12util && command -v certutil',
  ]),
  prometheus: unless('Prometheus is not installed (Debian: apt-get install prometheus)', ['prometheus', '--version']),
  promtool: unless('promtool is not installed (Debian: apt-get install prometheus)', ['promtool', '--version']),
  psql: unless('PostgreSQL is not installed (Debian: apt-get install postgresql)', ['psql', '--version']),
  python: unless(
    'Python 3.10 or later is not installed (Debian: apt-get install python3)',
    python('import ssl; ssl.VERIFY_X509_PARTIAL_CHAIN'),
  ),
  pythonVenv: unless(
    'Python with venv is not installed (Debian: apt-get install python3-venv)',
    python('import ensurepip, venv'),
  ),
  redis: unless(
    'Redis is not installed (Debian: apt-get install redis-server)',
    ['redis-server', '--version'],
    ['redis-cli', '--version'],
  ),
  rust: unless('Rust is not installed (https://rustup.rs; the version in Debian 12 is too old for rustls)', [
    'cargo',
    'version',
  ]),
  rustAndC: unless(
    'Rust and a C compiler are not installed (https://rustup.rs; Debian: apt-get install gcc)',
    ['cargo', '--version'],
    ['cc', '--version'],
  ),
} as const;
