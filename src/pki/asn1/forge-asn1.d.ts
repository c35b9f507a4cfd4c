// Only the ASN.1 module: the rest of node-forge is pure-JavaScript cryptography, which the operator must not use.
declare module 'node-forge/lib/asn1.js' {
  import type forge from 'node-forge';

  const asn1: typeof forge.asn1;
  export default asn1;
}
