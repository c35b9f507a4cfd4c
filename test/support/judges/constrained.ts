import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as asn1 from '../../../src/pki/asn1/der.ts';
import { oids } from '../../../src/pki/asn1/oid.ts';
import {
  encodeCertificates,
  encodeSubject,
  type LeafProfile,
  namesOutsideConstraints,
  parseCertificates,
  type Subject,
  type SubjectAltNames,
} from '../../../src/pki/index.ts';
import { altNames } from '../fixtures/names.ts';
import { extension } from '../roots/extensions.ts';
import { ecKey, makeCa } from '../roots/make.ts';
import { issueLeafNow, withSigner } from '../sign.ts';

/** Subtrees, each as `dns:example.com`, `ip:10.0.0.0/8` (or with a mask), `email:`, `uri:`, `dir:` (an organization). */
export interface Constraints {
  readonly permitted?: readonly string[];
  readonly excluded?: readonly string[];
}

/** The names and subject of a certificate below a CA with constraints. */
export interface Requested {
  readonly names: Partial<SubjectAltNames>;
  readonly subject?: Subject;
}

/** A certificate below an intermediate with constraints, as files for judges, and the verdict of our own code. */
export interface ConstrainedExhibit {
  readonly folder: string;
  /** Path of the root. */
  readonly trust: string;
  /** The names that our code finds outside the constraints. */
  readonly outside: readonly string[];
}

const kinds: Readonly<Record<string, (text: string) => asn1.Asn1>> = {
  email: (text) => asn1.implicit(1, Buffer.from(text, 'latin1')),
  dns: (text) => asn1.implicit(2, Buffer.from(text, 'latin1')),
  uri: (text) => asn1.implicit(6, Buffer.from(text, 'latin1')),
  ip: (text) => asn1.implicit(7, network(text)),
  dir: (text) =>
    asn1.implicitConstructed(4, [asn1.encoded(encodeSubject(text === '' ? {} : { organizations: [text] }))]),
};

function subtree(text: string): asn1.Asn1 {
  const [kind = '', value = ''] = text.split(/:(.*)/s);
  const base = kinds[kind]?.(value);
  if (base === undefined) throw new Error(`${text} is not a constraint`);
  return asn1.sequence(base);
}

/** Address and mask (`10.0.0.0/255.0.0.0`) as decimal octets with dots, so that a test can write invalid ones. */
const network = (text: string): Buffer => Buffer.from(text.split(/[./]/).map(Number));

/** The value of a NameConstraints extension. */
export const encodeConstraints = ({ permitted = [], excluded = [] }: Constraints): Buffer =>
  asn1.encode(
    asn1.sequence(
      ...(permitted.length === 0 ? [] : [asn1.implicitConstructed(0, permitted.map(subtree))]),
      ...(excluded.length === 0 ? [] : [asn1.implicitConstructed(1, excluded.map(subtree))]),
    ),
  );

const none = altNames();
const root = makeCa({ name: 'Root' });
const between = ecKey();
const holder: KeyObject = ecKey();

/** Signs a certificate with these names, allowed or not, and writes it to a new folder. */
export function constrainedExhibit(
  constraints: Constraints,
  { names, subject = {} }: Requested,
  folder: string,
): ConstrainedExhibit {
  const value = encodeConstraints(constraints);
  const more = [extension(oids.nameConstraints, value, true)];
  const ca = makeCa({ name: 'Constrained CA', key: between, by: root, more });
  const [constrained, anchor] = parseCertificates(ca.pem + root.pem);
  if (constrained === undefined || anchor === undefined) throw new Error('the CA certificates were not parsed');
  // Our own code would refuse to sign: sign with a copy of the CA without the constraints.
  const { nameConstraints: _, ...free } = constrained;
  const signer = withSigner({ certificate: free, key: between, intermediates: [constrained], anchor });
  const profile: LeafProfile = { role: 'peer', subject, names: { ...none, ...names }, durationMs: 3_600_000 };
  const context = { now: new Date(), serialSeed: randomBytes(20) };
  const unconstrained = { ...signer, intermediates: [free] };
  const leaf = issueLeafNow(profile, createPublicKey(holder), unconstrained, context);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const key = holder.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(join(folder, 'tls.crt'), encodeCertificates([leaf, constrained]));
  for (const name of ['tls.key', 'pkcs8.key']) writeFileSync(join(folder, name), key, { mode: 0o600 });
  const trust = join(folder, 'root.crt');
  writeFileSync(trust, root.pem);
  return { folder, trust, outside: namesOutsideConstraints(value, profile.names, subject) };
}
