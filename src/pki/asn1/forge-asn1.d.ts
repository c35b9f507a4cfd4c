// The ASN.1 module alone: the whole of node-forge would add pure-JavaScript cryptography that nothing here may use.
declare module 'node-forge/lib/asn1.js' {
  import type forge from 'node-forge';

  const asn1: typeof forge.asn1;
  export default asn1;
}
