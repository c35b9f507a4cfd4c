import { PkiError } from '../pki-error.ts';

/** More than any mounted chain or bundle needs. Larger text is refused before it is parsed. */
export const maxPemBytes = 1024 * 1024;

/** More blocks than any chain or bundle has. The limit bounds the cost of parsing. */
const maxPemBlocks = 100;

/** One block of a PEM text (RFC 7468). */
export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
}

const begin = '-----BEGIN ';
const dashes = '-----';

/**
 * The blocks of a PEM text. Text around the blocks is ignored, as RFC 7468 allows. PEM from a Secret is untrusted, so the
 * text is read in one pass, without a regular expression over the whole input (compare CVE-2024-12401).
 * @param most the largest number of blocks
 * @throws PkiError TooLarge, MalformedPem, EncryptedKey; the message never quotes the text, which may be a key
 */
export function parsePem(text: string, most = maxPemBlocks): PemBlock[] {
  if (text.length > maxPemBytes) throw new PkiError('TooLarge', `PEM of ${text.length} bytes, at most ${maxPemBytes}`);
  const blocks: PemBlock[] = [];
  let position = text.indexOf(begin);
  while (position >= 0) {
    const labelEnd = text.indexOf(dashes, position + begin.length);
    const label = labelEnd < 0 ? '' : text.slice(position + begin.length, labelEnd);
    if (label.length === 0 || label.length > 64 || label.includes('\n')) {
      throw new PkiError('MalformedPem', 'the BEGIN line of a PEM block is malformed');
    }
    const end = `-----END ${label}-----`;
    const bodyEnd = text.indexOf(end, labelEnd);
    if (bodyEnd < 0) throw new PkiError('MalformedPem', 'a PEM block has no END line');
    blocks.push({ label, der: decodeBody(text.slice(labelEnd + dashes.length, bodyEnd)) });
    if (blocks.length > most) throw new PkiError('TooLarge', `more than ${most} PEM blocks`);
    position = text.indexOf(begin, bodyEnd + end.length);
  }
  return blocks;
}

function decodeBody(body: string): Buffer {
  const base64 = body.replaceAll(/[\r\n\t ]/g, '');
  // RFC 1421 headers (Proc-Type: 4,ENCRYPTED) mark an encrypted key. "Not base64" would be a misleading error.
  if (base64.startsWith('Proc-Type:')) throw new PkiError('EncryptedKey', 'a PEM block is encrypted');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new PkiError('MalformedPem', 'a PEM block is not base64');
  return Buffer.from(base64, 'base64');
}

/** PEM with lines of 64 characters and a final newline (RFC 7468 strict form). */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.length).toString('base64');
  let lines = '';
  for (let at = 0; at < base64.length; at += 64) lines += `${base64.slice(at, at + 64)}\n`;
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}
