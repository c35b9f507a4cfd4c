/** `npm run import -- cert-manager`: converts manifests of cert-manager. src/cli/import decides; this file reads and writes. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';
import {
  type Conversion,
  convertCertManager,
  type ImportOptions,
  type Manifest,
  markdownReport,
  textReport,
} from '../src/cli/index.ts';

const help = `Usage: npm run --silent import -- cert-manager [FILE...|-] [options]

Reads Certificates, Issuers and ClusterIssuers of cert-manager, and writes the equal MtlsCertificates and MtlsAuthorities. The input is
YAML or JSON, as files or on standard input: manifests, or what kubectl prints:

  kubectl get certificates,issuers,clusterissuers -A -o yaml | npm run --silent import -- cert-manager --output mtls

An object with a field that has no equal is listed in the report, and not written. The tool reads no Secret and needs none.

  --output FOLDER   write a file for each object and report.md into this new or empty folder; without it, everything goes to standard output
  --operator-namespace NAME   the namespace of the operator (default mtls-operator)
  --cluster-resource-namespace NAME   the namespace of the Secrets of ClusterIssuers (default cert-manager)
  --namespace NAME   the namespace of manifests without one
  --trust-domain NAME   the trust domain of the authorities (default cluster.local)
  --cluster-domain NAME   the DNS domain of the cluster (default cluster.local)
  --default-role ROLE   server, client or peer: for Certificates whose usages name neither server auth nor client auth (default peer)
  --accept-subject-order   convert subjects although the operator encodes their attributes in another order
  --help            print this text

The report is on standard error. Exit code: 0 everything was converted, 2 something has no equal, 1 the input or a flag cannot be used.
`;

/** A message for the user. */
class UsageError extends Error {}

/** More than a cluster has: 50,000 Certificates are about 100 MB as kubectl prints them. */
const mostBytes = 256 * 1024 * 1024;

function main(args: readonly string[]): number {
  const { values, positionals } = parsed(args);
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const [source, ...files] = positionals;
  if (source !== 'cert-manager') throw new UsageError('say what to import: npm run import -- cert-manager FILE');
  const options = importOptions(values);
  const documents = (files.length === 0 ? ['-'] : files).flatMap(readDocuments);
  const conversion = convertCertManager(documents, options);
  const objects = conversion.authorities.length + conversion.certificates.length + conversion.refused.length;
  if (objects + conversion.replaced.length === 0)
    throw new UsageError('the input has no Certificate, Issuer or ClusterIssuer of cert-manager');
  if (values.output === undefined) process.stdout.write(manifestsOf(conversion).map(document).join(''));
  else writeFolder(values.output, conversion, options.operatorNamespace);
  const width = Math.min(120, Math.max(60, process.stderr.columns ?? 80));
  process.stderr.write(textReport(conversion, options.operatorNamespace, width));
  return conversion.refused.length > 0 ? 2 : 0;
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        output: { type: 'string' },
        'operator-namespace': { type: 'string', default: 'mtls-operator' },
        'cluster-resource-namespace': { type: 'string', default: 'cert-manager' },
        namespace: { type: 'string' },
        'trust-domain': { type: 'string', default: 'cluster.local' },
        'cluster-domain': { type: 'string', default: 'cluster.local' },
        'default-role': { type: 'string', default: 'peer' },
        'accept-subject-order': { type: 'boolean', default: false },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError(
      `${(error as Error).message.split('\n', 1)[0]?.replace(/\.? To specify.*/, '')}; --help lists the flags`,
    );
  }
}

function importOptions(values: ReturnType<typeof parsed>['values']): ImportOptions {
  const name = (
    flag: 'operator-namespace' | 'cluster-resource-namespace' | 'trust-domain' | 'cluster-domain',
    form: RegExp,
  ) => {
    const value = values[flag];
    if (!form.test(value)) throw new UsageError(`--${flag} ${JSON.stringify(value)} is not a valid name`);
    return value;
  };
  const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
  const role = values['default-role'];
  if (role !== 'server' && role !== 'client' && role !== 'peer')
    throw new UsageError(`--default-role is server, client or peer, not ${JSON.stringify(role)}`);
  if (values.namespace !== undefined && !label.test(values.namespace))
    throw new UsageError(`--namespace ${JSON.stringify(values.namespace)} is not a valid name`);
  return {
    operatorNamespace: name('operator-namespace', label),
    clusterResourceNamespace: name('cluster-resource-namespace', label),
    trustDomain: name('trust-domain', /^[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?$/),
    clusterDomain: name(
      'cluster-domain',
      /^(?=.{1,121}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z]([-a-z0-9]{0,61}[a-z0-9])?)*$/,
    ),
    defaultRole: role,
    acceptSubjectOrder: values['accept-subject-order'],
    ...(values.namespace === undefined ? {} : { namespace: values.namespace }),
  };
}

function readDocuments(file: string): unknown[] {
  const shown = file === '-' ? 'standard input' : file;
  let text: string;
  try {
    if (file !== '-' && statSync(file).size > mostBytes) throw new UsageError(`${shown} is larger than 256 MiB`);
    const bytes = readFileSync(file === '-' ? 0 : file);
    if (bytes.length > mostBytes) throw new UsageError(`${shown} is larger than 256 MiB`);
    text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read ${shown}: ${(error as Error).message.replace(/, \w+( .*)?$/, '')}`);
  }
  if (/^\s*[{[]/.test(text)) {
    try {
      return [JSON.parse(text)].flat();
    } catch {
      // YAML in flow style begins in the same way.
    }
  }
  const unusable = (why: string) => new UsageError(`${shown} is not valid YAML or JSON: ${why}`);
  try {
    const documents = parseAllDocuments(text, { logLevel: 'silent', prettyErrors: true });
    return [...documents].map((one) => {
      const [error] = one.errors;
      if (error !== undefined) throw error;
      return one.toJS({ maxAliasCount: 100 }) as unknown;
    });
  } catch (error) {
    throw unusable((error as Error).message.split('\n', 1)[0]?.replace(/:$/, '') ?? '');
  }
}

const manifestsOf = ({ authorities, certificates }: Conversion): Manifest[] =>
  [...authorities, ...certificates].map(({ manifest }) => manifest);

const document = (manifest: Manifest): string =>
  `---\n${stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false })}`;

/** An underscore occurs in no name, so two objects never have the same file. */
const fileOf = ({ kind, metadata: { name, namespace } }: Manifest): string =>
  kind === 'MtlsAuthority' ? `authority_${name}.yaml` : `certificate_${namespace}_${name}.yaml`;

function writeFolder(folder: string, conversion: Conversion, operatorNamespace: string): void {
  const files = new Map(manifestsOf(conversion).map((manifest) => [fileOf(manifest), document(manifest)]));
  files.set('report.md', markdownReport(conversion, operatorNamespace));
  try {
    mkdirSync(folder, { recursive: true });
    // A user applies the whole folder. A file of an earlier run would be applied too, although its object may be refused now.
    if (readdirSync(folder).length > 0)
      throw new UsageError(`${folder} is not empty: give a new folder, so that it holds only what was converted now`);
    for (const [file, text] of files) writeFileSync(join(folder, file), text);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot write to ${folder}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
