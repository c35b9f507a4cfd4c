import type { RootProblem } from '../../../src/pki/index.ts';
import { type CaOptions, type MadeCa, makeCa } from './make.ts';

/** The files of a root Secret, as text. */
export interface RootFiles {
  readonly 'tls.crt': string;
  readonly 'tls.key': string;
  readonly 'ca.crt'?: string;
}

/** A root that may sign nothing. */
export interface BadRoot {
  readonly title: string;
  readonly reason: RootProblem;
  readonly make: () => RootFiles;
  /** The API server takes no Secret of this size. */
  readonly isTooLargeToStore?: boolean;
}

/** A root that may sign. */
export interface GoodRoot {
  readonly title: string;
  readonly make: () => RootFiles;
  /** How many intermediates its leaves carry; none by default. */
  readonly intermediates?: number;
  /** False where `openssl verify -x509_strict` wants more of a CA than RFC 5280's verifiers do. */
  readonly isStrict?: boolean;
}

/** The files of a CA whose way to its root is written behind it, and these roots in ca.crt. */
export const filesOf = (signer: MadeCa, chain: readonly MadeCa[] = [], anchors: readonly MadeCa[] = []): RootFiles => ({
  'tls.crt': pemOf([signer, ...chain]),
  'tls.key': signer.keyPem,
  ...(anchors.length === 0 ? {} : { 'ca.crt': pemOf(anchors) }),
});

const pemOf = (certificates: readonly MadeCa[]): string => certificates.map(({ pem }) => pem).join('');

/** The files of a root of its own making. */
export const rootFiles = (options: CaOptions = {}): RootFiles => filesOf(makeCa(options));
