import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** A file of an archive. Folders are created as they are needed. */
export type TarEntry = { readonly path: string; readonly mode?: number } & (
  | { readonly content: Buffer | string }
  /** A file of this machine. */
  | { readonly from: string }
  /** A symbolic link. */
  | { readonly link: string }
  | { readonly folder: true }
);

const BLOCK = 512;

/** By type: a file, a symbolic link, a folder. */
const DEFAULT_MODES = { 0: 0o644, 2: 0o777, 5: 0o755 } as const;

/** Writes a POSIX.1-2001 (pax) archive. All files belong to root and have the same time, so the same files are the same bytes. */
export function writeTar(file: string, entries: Iterable<TarEntry>): void {
  const output = openSync(file, 'w');
  try {
    for (const entry of entries) {
      const content =
        'content' in entry ? Buffer.from(entry.content) : 'from' in entry ? readFileSync(entry.from) : none;
      writeHeader(output, entry, content.length);
      writeAll(output, content);
      writeAll(output, Buffer.alloc(padding(content.length)));
    }
    writeAll(output, Buffer.alloc(2 * BLOCK));
  } finally {
    closeSync(output);
  }
}

const none = Buffer.alloc(0);
const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

function writeHeader(output: number, entry: TarEntry, size: number): void {
  const path = entry.path.replace(/^\//, '') + ('folder' in entry ? '/' : '');
  const link = 'link' in entry ? entry.link : '';
  const records = [record('path', path, 100), record('linkpath', link, 100)].join('');
  if (records !== '') {
    writeAll(output, header({ path: 'pax', type: 'x', mode: 0o644, size: Buffer.byteLength(records), link: '' }));
    writeAll(output, Buffer.from(records + '\0'.repeat(padding(Buffer.byteLength(records)))));
  }
  const type = 'folder' in entry ? 5 : 'link' in entry ? 2 : 0;
  const mode = entry.mode ?? DEFAULT_MODES[type];
  writeAll(output, header({ path, type, mode, size, link }));
}

/** A pax record, which counts its own length; empty if the header has room for the value. */
function record(key: string, value: string, room: number): string {
  if (Buffer.byteLength(value) <= room) return '';
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (length !== Buffer.byteLength(rest) + String(length).length)
    length = Buffer.byteLength(rest) + String(length).length;
  return `${length}${rest}`;
}

interface Header {
  readonly path: string;
  /** The type flag: a digit, or x for the records of the next file. */
  readonly type: number | 'x';
  readonly mode: number;
  readonly size: number;
  readonly link: string;
}

function header({ path, type, mode, size, link }: Header): Buffer {
  const block = Buffer.alloc(BLOCK);
  const number = (value: number, offset: number, width: number): void => {
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset);
  };
  block.write(path, 0, 100);
  number(mode, 100, 8);
  number(0, 108, 8);
  number(0, 116, 8);
  number(size, 124, 12);
  number(0, 136, 12);
  block.write(String(type), 156);
  block.write(link, 157, 100);
  block.write('ustar\x0000', 257);
  block.fill(' ', 148, 156);
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function writeAll(output: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(output, bytes, written);
}
