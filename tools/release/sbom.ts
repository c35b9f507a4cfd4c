import { createHash } from 'node:crypto';

export interface Component {
  'bom-ref': string;
  type: string;
  name: string;
  version: string;
  purl?: string;
  cpe?: string;
  scope?: string;
  licenses?: ReadonlyArray<{ readonly license: { readonly id: string } } | { readonly expression: string }>;
  [field: string]: unknown;
}

/** A bill of materials in the format CycloneDX 1.5. */
export interface Sbom {
  serialNumber: string;
  metadata: { timestamp: string; component: Component; [field: string]: unknown };
  components: Component[];
  dependencies: ReadonlyArray<{ readonly ref: string; readonly dependsOn: readonly string[] }>;
  [field: string]: unknown;
}

export interface Platform {
  /** The versions of Node.js and of the libraries that are linked into it, as in process.versions. */
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** When the commit was made. */
  readonly date: Date;
}

/** The libraries in the binary of Node.js for which advisories are published. */
const bundled = ['ada', 'ares', 'brotli', 'llhttp', 'nghttp2', 'openssl', 'sqlite', 'uv', 'v8', 'zlib', 'zstd'];

/**
 * Turns npm's bill of materials of the production packages into that of the image: with the name of the program instead of that of
 * the folder, without packages of types, and with the Node.js of the image and the libraries in its binary. The same commit and
 * image give the same bytes.
 */
export function completeSbom(ofNpm: Sbom, { versions, date }: Platform): Sbom {
  const { metadata } = ofNpm;
  const { components, dependencies } = withoutTypes(ofNpm);
  const program = { ...metadata.component, type: 'application', name: 'mtls-operator' };
  const node = nodeComponent(versions);
  const edges = dependencies.map((edge) =>
    edge.ref === program['bom-ref'] ? { ...edge, dependsOn: [...edge.dependsOn, node['bom-ref']] } : edge,
  );
  const sbom = {
    ...ofNpm,
    serialNumber: '',
    metadata: { ...metadata, timestamp: date.toISOString(), component: program },
    components: [...components, node],
    dependencies: [...edges, { ref: node['bom-ref'], dependsOn: [] }],
  };
  return { ...sbom, serialNumber: `urn:uuid:${uuidOf(JSON.stringify(sbom))}` };
}

/** Leaves out the packages that have only declarations of types. The image does not have them. */
function withoutTypes({ components, dependencies }: Sbom): Pick<Sbom, 'components' | 'dependencies'> {
  const isTypes = ({ name }: Component): boolean => name.startsWith('@types/') || name === 'undici-types';
  const left = new Set(components.filter(isTypes).map((component) => component['bom-ref']));
  return {
    components: components.filter((component) => !isTypes(component)),
    dependencies: dependencies
      .filter(({ ref }) => !left.has(ref))
      .map((edge) => ({ ...edge, dependsOn: edge.dependsOn.filter((ref) => !left.has(ref)) })),
  };
}

function nodeComponent(versions: Platform['versions']): Component {
  const version = versions['node'];
  if (version === undefined) throw new Error('the version of Node.js in the image is not known');
  return {
    'bom-ref': `node@${version}`,
    type: 'platform',
    name: 'node',
    version,
    scope: 'required',
    purl: `pkg:generic/node@${version}`,
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
    licenses: [{ license: { id: 'MIT' } }],
    externalReferences: [{ type: 'website', url: 'https://nodejs.org' }],
    components: bundled.flatMap((name) => {
      const own = versions[name];
      return own === undefined
        ? []
        : { 'bom-ref': `node@${version}/${name}@${own}`, type: 'library', name, version: own };
    }),
  };
}

/** A UUID (version 8, RFC 9562) of this text. */
function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
