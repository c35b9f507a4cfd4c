// The part of DNS (RFC 1035) that programs in pods need: A records over UDP.

/** Seconds for which a client may keep an answer. CoreDNS uses the same. */
const TTL_S = 5;

const HEADER_BYTES = 12;
const A = 1;
const ANY = 255;
const INTERNET = 1;
const NOT_IMPLEMENTED = 4;
const NAME_ERROR = 3;

/**
 * The reply to a query. `lookup` gets the name in lower case without the final dot, and returns its IPv4 addresses: undefined
 * if the name does not exist. Undefined for bytes that are no query.
 */
export function replyTo(query: Buffer, lookup: (name: string) => readonly string[] | undefined): Buffer | undefined {
  const isQuery = query.length > HEADER_BYTES && (query.readUInt8(2) & 0x80) === 0 && query.readUInt16BE(4) === 1;
  if (!isQuery) return undefined;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let size = query[at]; size !== 0; size = query[at]) {
    // A name in a question is never compressed.
    if (size === undefined || size > 63 || at + size + 1 >= query.length) return undefined;
    labels.push(query.toString('latin1', at + 1, at + 1 + size));
    at += size + 1;
  }
  const end = at + 5;
  if (end > query.length) return undefined;
  const [type, kind] = [query.readUInt16BE(at + 1), query.readUInt16BE(at + 3)];
  const question = query.subarray(HEADER_BYTES, end);
  const opcode = query.readUInt8(2) & 0x78;
  if (opcode !== 0) return messageOf(query, question, NOT_IMPLEMENTED, []);

  const addresses = kind === INTERNET ? lookup(labels.join('.').toLowerCase()) : undefined;
  if (addresses === undefined) return messageOf(query, question, NAME_ERROR, []);
  return messageOf(query, question, 0, type === A || type === ANY ? addresses : []);
}

function messageOf(query: Buffer, question: Buffer, code: number, addresses: readonly string[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  // Response, authoritative; the client's wish for recursion is repeated and recursion is available.
  header.writeUInt8(0x84 | (query.readUInt8(2) & 0x01), 2);
  header.writeUInt8(0x80 | code, 3);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  return Buffer.concat([header, question, ...addresses.map(recordOf)]);
}

/** An A record for the name of the question, which a pointer to its place replaces. */
function recordOf(address: string): Buffer {
  const record = Buffer.alloc(16);
  record.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  record.writeUInt16BE(A, 2);
  record.writeUInt16BE(INTERNET, 4);
  record.writeUInt32BE(TTL_S, 6);
  record.writeUInt16BE(4, 10);
  for (const [index, part] of address.split('.').entries()) record.writeUInt8(Number(part), 12 + index);
  return record;
}
