import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { pemCertificates } from '../peers/peer.ts';
import { type Command, run } from '../peers/process.ts';

/** A keystore, and the password to open it with. */
export interface StoreFile {
  readonly kind: 'keystore' | 'truststore';
  readonly path: string;
  readonly password: string;
}

/** The content of a keystore as a program reads it. */
export type Reading =
  | {
      /** SHA-256 of each, lower-case hex, in the program's order. */
      readonly certificates: readonly string[];
      readonly privateKey?: KeyObject;
      /** Names of entries, if the program shows them. */
      readonly aliases?: readonly string[];
    }
  | { readonly error: string };

/** A program that reads PKCS#12. */
export interface StoreJudge {
  readonly name: string;
  /** The error for a wrong password. */
  readonly wrongPassword: RegExp;
  /** Whether it outputs the private key of a keystore, or only uses it. */
  readonly showsKey: boolean;
  /** Null, or a sentence that says what to install. */
  missing(): string | null;
  /** One reading for each store, in order. */
  read(stores: readonly StoreFile[]): Promise<Reading[]>;
}

/** A judge that reads one store at a time. */
export const eachAlone =
  (read: (store: StoreFile) => Promise<Reading>): StoreJudge['read'] =>
  async (stores) => {
    const readings: Reading[] = [];
    for (const store of stores) readings.push(await read(store));
    return readings;
  };

interface Line {
  readonly error?: string;
  readonly certificates?: readonly string[];
  readonly privateKey?: string;
  readonly aliases?: readonly string[];
}

/**
 * A judge that is a program of this project. Arguments: KIND PATH PASSWORD for each store; it prints a line of JSON for
 * each.
 */
export const byProgram =
  (command: () => Command | Promise<Command>): StoreJudge['read'] =>
  async (stores) => {
    const args = stores.flatMap(({ kind, path, password }) => [kind, path, password]);
    const { code, stdout, stderr } = await run([...(await command()), ...args]);
    if (code !== 0) throw new Error(`the reader ended with code ${code}:\n${stderr}`);
    return stdout.trim().split('\n').map(readLine);
  };

function readLine(line: string): Reading {
  const { error, certificates = [], privateKey, aliases } = JSON.parse(line) as Line;
  if (error !== undefined) return { error };
  return {
    certificates,
    ...(aliases === undefined ? {} : { aliases }),
    ...(privateKey === undefined
      ? {}
      : { privateKey: createPrivateKey({ key: Buffer.from(privateKey, 'base64'), format: 'der', type: 'pkcs8' }) }),
  };
}

/** Fingerprints of the certificates in a text. */
export const fingerprintsIn = (text: string): string[] =>
  pemCertificates(text).map((pem) =>
    createHash('sha256')
      .update(Buffer.from(pem.replaceAll(/-----.*-----/g, ''), 'base64'))
      .digest('hex'),
  );

/** The private key in a text, if present. It may be encrypted. */
export function privateKeyIn(text: string, passphrase = ''): { privateKey?: KeyObject } {
  const [pem] = /-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[^-]+-----END ([A-Z]+ )?PRIVATE KEY-----/.exec(text) ?? [];
  return pem === undefined ? {} : { privateKey: createPrivateKey({ key: pem, passphrase }) };
}
