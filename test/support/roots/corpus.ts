import type { RootProblem } from '../../../src/pki/index.ts';
import { type CaOptions, type MadeCa, makeCa } from './make.ts';

/** The files of a root Secret, as text. */
export interface RootFiles {
  readonly 'tls.crt': string;
  readonly 'tls.key': string;
  readonly 'ca.crt'?: string;
}

/** A root that must not sign. */
export interface BadRoot {
  readonly title: string;
  readonly reason: RootProblem;
  readonly make: () => RootFiles;
  /** Whether the API server refuses a Secret of this size. */
  readonly isTooLargeToStore?: boolean;
}

/** A root that may sign. */
export interface GoodRoot {
  readonly title: string;
  readonly make: () => RootFiles;
  /** The number of intermediates that its leaves carry; none by default. */
  readonly intermediates?: number;
  /** False if `openssl verify -x509_strict` requires more of a CA than verifiers that follow RFC 5280. */
  readonly isStrict?: boolean;
}

/** The files of a CA: `chain` follows it in tls.crt, `anchors` are in ca.crt. */
export const filesOf = (signer: MadeCa, chain: readonly MadeCa[] = [], anchors: readonly MadeCa[] = []): RootFiles => ({
  'tls.crt': pemOf([signer, ...chain]),
  'tls.key': signer.keyPem,
  ...(anchors.length === 0 ? {} : { 'ca.crt': pemOf(anchors) }),
});

const pemOf = (certificates: readonly MadeCa[]): string => certificates.map(({ pem }) => pem).join('');

/** The files of a self-signed root. */
export const rootFiles = (options: CaOptions = {}): RootFiles => filesOf(makeCa(options));
