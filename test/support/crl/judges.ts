import { join } from 'node:path';

import { missing } from '../missing.ts';
import { scratchFile } from '../openssl.ts';
import { compiled } from '../peers/compiled.ts';
import { goPeer, javaPeer, opensslClient } from '../peers/index.ts';
import { type Command, run } from '../peers/process.ts';

const here = import.meta.dirname;

/** PEM of a leaf with its intermediates, of the trusted roots, and of the CRLs. */
export interface CrlCase {
  readonly leaf: string;
  readonly roots: string;
  readonly crls: string;
}

/** A program that checks certificates against CRLs. */
export interface CrlJudge {
  readonly name: string;
  /** Null if it is available, otherwise a sentence that says what to install. */
  readonly missing: () => string | null;
  /** Whether it refuses a certificate when its issuer has no CRL, or only an expired one. */
  readonly insists: boolean;
  /** For each case the reason why it refuses the leaf, or undefined. */
  readonly refusals: (cases: readonly CrlCase[]) => Promise<Array<string | undefined>>;
}

const files = ({ roots, crls, leaf }: CrlCase): readonly [string, string, string] => [
  scratchFile(roots),
  scratchFile(crls),
  scratchFile(leaf),
];

async function oneByOne(
  cases: readonly CrlCase[],
  command: (roots: string, crls: string, leaf: string) => Command,
): Promise<Array<string | undefined>> {
  const refusals: Array<string | undefined> = [];
  for (const crlCase of cases) {
    const { code, stdout, stderr } = await run(command(...files(crlCase)));
    refusals.push(code === 0 ? undefined : `${stdout}${stderr}`);
  }
  return refusals;
}

const linesOf = async (command: Command): Promise<string[]> => {
  const { code, stdout, stderr } = await run(command);
  if (code !== 0) throw new Error(`${command[0]} failed: ${stderr}`);
  return stdout.trimEnd().split('\n');
};

const opensslVerify = ['openssl', 'verify', '-x509_strict', '-crl_check', '-no-CApath', '-no-CAstore'] as const;

export const opensslCrl: CrlJudge = {
  name: 'openssl verify',
  missing: () => opensslClient.missing(),
  insists: true,
  refusals: async (cases) =>
    oneByOne(cases, (roots, crls, leaf) => [
      ...opensslVerify,
      '-CAfile',
      roots,
      '-CRLfile',
      crls,
      '-untrusted',
      leaf,
      leaf,
    ]),
};

/** GnuTLS uses the CRLs that it gets, however old they are, and does not require others. */
export const gnutlsCrl: CrlJudge = {
  name: 'GnuTLS',
  missing: missing.certtool,
  insists: false,
  refusals: async (cases) =>
    oneByOne(cases, (roots, crls, leaf) => [
      'certtool',
      '--verify',
      '--load-ca-certificate',
      roots,
      '--load-crl',
      crls,
      '--infile',
      leaf,
    ]),
};

export interface GoCrl {
  readonly Number: string;
  readonly AuthorityKeyID: string;
  readonly ThisUpdate: string;
  readonly NextUpdate: string;
  readonly Extensions: readonly string[];
  /** Serial numbers in hex, each with its date. */
  readonly Revoked: readonly string[];
}

/** Runs Go's crypto/x509. Returns the parsed CRLs of each case, and why it refuses the leaf (empty if it does not). */
export async function goReads(cases: readonly CrlCase[]): Promise<Array<{ Lists: GoCrl[]; Refusal: string }>> {
  const sources = join(here, 'go');
  const folder = await compiled(
    'crl-go',
    ['go.mod', 'main.go'].map((name) => join(sources, name)),
    (output) => ({ command: ['go', 'build', '-o', output, '.'], cwd: sources }),
  );
  const lines = await linesOf([join(folder, 'crl'), ...cases.flatMap(files)]);
  return lines.map((line) => JSON.parse(line) as { Lists: GoCrl[]; Refusal: string });
}

export const goCrl: CrlJudge = {
  name: 'Go',
  missing: () => goPeer.missing(),
  insists: true,
  refusals: async (cases) => (await goReads(cases)).map(({ Refusal }) => (Refusal === '' ? undefined : Refusal)),
};

export const javaCrl: CrlJudge = {
  name: 'Java PKIX',
  missing: () => javaPeer.missing(),
  insists: true,
  refusals: async (cases) => {
    const source = join(here, 'java', 'Crl.java');
    const folder = await compiled('crl-java', [source], (output) => ({
      command: ['javac', '--release', '17', '-d', output, source],
    }));
    const options = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', folder, 'Crl'];
    const lines = await linesOf(['java', ...options, ...cases.flatMap(files)]);
    return lines.map((line) => (line === 'ok' ? undefined : line));
  },
};

/** All programs. */
export const crlJudges: readonly CrlJudge[] = [opensslCrl, gnutlsCrl, goCrl, javaCrl];
