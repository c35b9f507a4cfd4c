// npm run bench -- issuing: the CPU cost of issuing a certificate and of reading it from its Secret, by kind of key and
// without an API server, and the sizes of the results.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { secretRecord } from '../../src/controllers/objects/leaf-secret.ts';
import { makeOutputs } from '../../src/controllers/objects/output-data.ts';
import { generatePrivateKey, type KeySpec, trustBundle } from '../../src/pki/index.ts';
import type { LeafRequest, OutputKey } from '../../src/plan/index.ts';
import { issueContent, issueRoot, withSigner } from '../support/sign.ts';

const specs: readonly KeySpec[] = [
  { algorithm: 'ECDSA', size: 256 },
  { algorithm: 'ECDSA', size: 384 },
  { algorithm: 'ECDSA', size: 521 },
  { algorithm: 'Ed25519' },
  { algorithm: 'RSA', size: 2048 },
  { algorithm: 'RSA', size: 3072 },
  { algorithm: 'RSA', size: 4096 },
];
const outputs: readonly OutputKey[] = ['tls-combined.pem', 'key.der', 'keystore.p12', 'truststore.p12'];
const password = randomBytes(20).toString('hex');

/** Prints a row for each kind of key. `issue` includes the new key, except for RSA. The root has a key of the same kind. */
export async function benchIssuing(): Promise<void> {
  console.log('CPU of one certificate, and sizes in bytes; one root, no intermediates');
  console.table(await rows());
}

async function rows(): Promise<Record<string, Record<string, string | number>>> {
  const table: Record<string, Record<string, string | number>> = {};
  for (const key of specs) {
    const rootKey = await generatePrivateKey(key);
    const context = { now: new Date(), serialSeed: randomBytes(20) };
    const certificate = issueRoot({ subject: { commonName: 'Bench Root' }, durationMs: 86_400_000 }, rootKey, context);
    const root = withSigner({ certificate, key: rootKey, intermediates: [], anchor: certificate });
    const signer = { root, bundle: trustBundle(certificate, []) };
    const request = requestFor(key);
    const leafKeys =
      key.algorithm === 'RSA' ? [generateKeyPairSync('rsa', { modulusLength: key.size }).privateKey] : [];
    const issue = async () => issueContent(request, leafKeys[0] ?? (await generatePrivateKey(key)), signer, new Date());
    const { data } = await issue();
    const make = (keys: readonly OutputKey[]) => makeOutputs({ keys, removed: [] }, data, { password });
    const made = await make(outputs);
    const secret = { metadata: { name: 'payments', namespace: 'shop' }, type: 'kubernetes.io/tls', data };
    const size = (encoded: string | null | undefined) => Buffer.from(encoded ?? '', 'base64').length;
    table[key.algorithm === 'Ed25519' ? 'Ed25519' : `${key.algorithm}-${key.size}`] = {
      'issue, ms': await cpuMs(issue),
      'new key, ms': await cpuMs(() => generatePrivateKey(key)),
      'read, ms': await cpuMs(() => secretRecord(secret, [certificate])),
      'stores, ms': await cpuMs(() => make(outputs.slice(2))),
      'tls.crt': size(data['tls.crt']),
      'tls.key': size(data['tls.key']),
      'ca.crt': size(data['ca.crt']),
      ...Object.fromEntries(outputs.map((name) => [name, size(made.data[name])])),
    };
  }
  return table;
}

const requestFor = (key: KeySpec): LeafRequest => ({
  profile: {
    role: 'server',
    subject: {},
    names: {
      dnsNames: ['payments', 'payments.shop', 'payments.shop.svc', 'payments.shop.svc.cluster.local'],
      ipAddresses: [],
      uris: [],
      emailAddresses: [],
      otherNames: [],
    },
    durationMs: 3_600_000,
  },
  key,
  keyEncoding: 'PKCS8',
  keepKey: false,
});

/**
 * Milliseconds of CPU for one run, from as many runs as take a second. A second of warm-up precedes them: an operator runs for
 * weeks, and V8 compiles hot code during the first thousands of runs.
 */
async function cpuMs(run: () => unknown): Promise<string> {
  await forASecond(run);
  const { runs, ms } = await forASecond(run);
  return (ms / runs).toFixed(3);
}

async function forASecond(run: () => unknown): Promise<{ readonly runs: number; readonly ms: number }> {
  const before = process.cpuUsage();
  for (let runs = 1; ; runs += 1) {
    await run();
    const { user, system } = process.cpuUsage(before);
    const ms = (user + system) / 1000;
    if (ms >= 1000) return { runs, ms };
  }
}
