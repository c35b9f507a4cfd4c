import { gnutls } from './gnutls.ts';
import { go } from './go.ts';
import { java } from './java.ts';
import { node } from './node.ts';
import { nss } from './nss.ts';
import { openssl } from './openssl.ts';
import { pkilint } from './pkilint.ts';
import { python } from './python.ts';
import type { Judge } from './question.ts';
import { webpkiWithAwsLc, webpkiWithRing } from './webpki.ts';
import { zlint } from './zlint.ts';

/** All judges. The last two check only the form. */
export const judges: readonly Judge[] = [
  openssl,
  go,
  java,
  python,
  webpkiWithAwsLc,
  webpkiWithRing,
  gnutls,
  nss,
  node,
  zlint,
  pkilint,
];
