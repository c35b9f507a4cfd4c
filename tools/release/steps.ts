import { createHash } from 'node:crypto';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { goTool } from '../go-tools/go-tools.ts';
import { bytesBelow, hasBuildah, openImageStore } from '../image/buildah.ts';
import { buildLocalBases } from '../image/local-bases.ts';
import { type Bases, basesOf, hasDigest, withDigest } from './bases.ts';
import { releasedChart, releasedValues } from './chart.ts';
import { type ChangelogSection, changelogSections, changesIn, unwrapped } from './notes.ts';
import { npmSbom } from './npm.ts';
import { type Release, ROOT } from './release.ts';
import { completeSbom } from './sbom.ts';
import { versionProblems } from './versions.ts';

export interface Step {
  readonly name: string;
  /** What the step does, in a few words. */
  readonly does: string;
  readonly run: (release: Release) => Promise<void>;
}

/** In the order of a release. The workflow runs each of them by its name. */
export const STEPS: readonly Step[] = [
  { name: 'versions', does: 'compares the version in all places, and the tag', run: checkVersions },
  { name: 'notes', does: 'cuts the release notes out of CHANGELOG.md', run: writeNotes },
  {
    name: 'bases',
    does: 'resolves the base images to digests, and verifies the signature of distroless',
    run: resolveBases,
  },
  { name: 'image', does: 'builds the image for amd64 and arm64, and pushes it', run: buildImage },
  { name: 'sbom', does: 'writes the bill of materials', run: writeSbom },
  { name: 'chart', does: 'packages the chart', run: packageChart },
  { name: 'push-chart', does: 'pushes the chart', run: pushChart },
  { name: 'checksums', does: 'writes the checksums of the files', run: writeChecksums },
  { name: 'sign', does: 'signs image, chart and checksums, and attests the bill of materials', run: sign },
  { name: 'artifact-hub', does: 'pushes the metadata of the chart repository for Artifact Hub', run: pushArtifactHub },
  { name: 'publish', does: 'creates the release with its notes and files', run: publish },
];

async function checkVersions({ files, tag, version, say }: Release): Promise<void> {
  const problems = versionProblems(files, tag);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  say(`${version} everywhere`);
}

/** A dry run takes the unreleased changes when the version has no section yet. */
function sectionOf({ files, version, isDryRun }: Release): ChangelogSection {
  const sections = changelogSections(files.changelog);
  const named = (name: string): ChangelogSection | undefined => sections.find((section) => section.version === name);
  const section = named(version) ?? (isDryRun ? named('Unreleased') : undefined);
  if (section === undefined) throw new Error(`CHANGELOG.md has no section for ${version}`);
  return section;
}

async function writeNotes(release: Release): Promise<void> {
  const { image, version, charts } = release;
  const install = `helm install mtls-operator oci://${charts}/mtls-operator --version ${version}`;
  const head = `Image: \`${image}:${version}\`. Install with Helm:\n\n\`\`\`sh\n${install}\n\`\`\`\n`;
  const { text } = sectionOf(release);
  release.write('notes.md', `${head}\n${unwrapped(text)}\n`);
  release.say(`release/notes.md: ${text.split('\n').length} lines of the changelog`);
}

/** The signer of distroless: https://github.com/GoogleContainerTools/distroless */
const distrolessSigner = [
  '--certificate-oidc-issuer=https://accounts.google.com',
  '--certificate-identity=keyless@distroless.iam.gserviceaccount.com',
];

interface Descriptor {
  readonly digest: string;
}

async function resolveBases({ files, remote, write, say }: Release): Promise<void> {
  const bases = basesOf(files.dockerfile);
  const resolve = async (reference: string): Promise<string> => {
    if (hasDigest(reference)) return reference;
    const format = ['--format', '{{json .Manifest}}'];
    const manifest = await remote(['docker', 'buildx', 'imagetools', 'inspect', ...format, reference]);
    return manifest === undefined ? reference : withDigest(reference, (JSON.parse(manifest) as Descriptor).digest);
  };
  const resolved: Bases = {
    BUILD_IMAGE: await resolve(bases.BUILD_IMAGE),
    BASE_IMAGE: await resolve(bases.BASE_IMAGE),
  };
  await remote(['cosign', 'verify', ...distrolessSigner, resolved.BASE_IMAGE]);
  write('bases.json', `${JSON.stringify(resolved, undefined, 2)}\n`);
  say(`release/bases.json: ${Object.values(resolved).join(', ')}`);
}

async function buildImage(release: Release): Promise<void> {
  const { image, version, commit, date, source, remote, read, path } = release;
  const bases = JSON.parse(read('bases.json')) as Bases;
  const labels = {
    'org.opencontainers.image.revision': commit,
    'org.opencontainers.image.created': date.toISOString(),
    ...(source === '' ? {} : { 'org.opencontainers.image.source': source }),
  };
  await remote(
    [
      ...(['docker', 'buildx', 'build'] as const),
      '--platform=linux/amd64,linux/arm64',
      ...Object.entries(bases).map(([name, reference]) => `--build-arg=${name}=${reference}`),
      ...Object.entries(labels).map(([name, value]) => `--label=${name}=${value}`),
      '--provenance=mode=max',
      '--sbom=true',
      '--push',
      `--tag=${image}:${version}`,
      `--metadata-file=${path('image.json')}`,
      '.',
    ],
    // The same commit and bases give the same layers.
    { SOURCE_DATE_EPOCH: String(date.getTime() / 1000) },
  );
  if (release.isDryRun) return buildLocalImage(release, labels);
  // The workflow attests this digest.
  const outputs = process.env['GITHUB_OUTPUT'];
  if (outputs !== undefined) appendFileSync(outputs, `digest=${pushedImage(release).split('@')[1]}\n`);
}

/** Builds the image for this machine from local files, so that a dry run needs no registry. */
async function buildLocalImage(
  { image, version, say, path }: Release,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  if (!(await hasBuildah())) return say('buildah is not installed, so this dry run builds no image');
  const folder = mkdtempSync(join(tmpdir(), 'mtls-release-'));
  const tag = `${image}:${version}`;
  try {
    const store = openImageStore(join(folder, 'store'));
    const args = { ...(await buildLocalBases(store, join(folder, 'files'))) };
    await store.build({ tag, dockerfile: join(ROOT, 'Dockerfile'), context: ROOT, args, labels });
    const whole = bytesBelow(await store.unpack(tag));
    rmSync(path('image'), { recursive: true, force: true });
    const compressed = await store.export(tag, path('image'));
    const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    say(`release/image: an OCI layout on a base of local files, ${mib(whole)}, compressed ${mib(compressed)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The reference of the pushed image by its digest. */
function pushedImage({ isDryRun, image, version, read }: Release): string {
  if (isDryRun) return `${image}:${version}@sha256:DIGEST`;
  const { 'containerimage.digest': digest } = JSON.parse(read('image.json')) as { 'containerimage.digest': string };
  return withDigest(`${image}:${version}`, digest);
}

async function writeSbom(release: Release): Promise<void> {
  const node = ['--entrypoint=/nodejs/bin/node', pushedImage(release), '--print', 'JSON.stringify(process.versions)'];
  const printed = await release.remote(['docker', 'run', '--rm', ...node]);
  // The base of local files has this Node.js.
  const versions = printed === undefined ? process.versions : (JSON.parse(printed) as NodeJS.ProcessVersions);
  const sbom = completeSbom(await npmSbom(ROOT), { versions, date: release.date });
  release.write('sbom.cdx.json', `${JSON.stringify(sbom, undefined, 2)}\n`);
  release.say(`release/sbom.cdx.json: ${sbom.components.length} components, Node.js ${versions.node}`);
}

const packageOf = ({ version, path }: Release): string => path(`mtls-operator-${version}.tgz`);

async function packageChart(release: Release): Promise<void> {
  const { image, version, source, local, path, say } = release;
  const chart = path('chart/mtls-operator');
  rmSync(chart, { recursive: true, force: true });
  cpSync(join(ROOT, 'deploy/helm/mtls-operator'), chart, { recursive: true });
  const change = (name: string, edit: (text: string) => string): void =>
    writeFileSync(join(chart, name), edit(readFileSync(join(chart, name), 'utf8')));
  const changes = changesIn(sectionOf(release));
  change('Chart.yaml', (text) => releasedChart(text, { image, version, changes, source }));
  change('values.yaml', (text) => releasedValues(text, image));
  const helm = await goTool('helm', say);
  await local([helm, 'lint', '--strict', chart]);
  await local([helm, 'package', chart, '--destination', path('')]);
  say(`release/mtls-operator-${version}.tgz`);
}

async function pushChart(release: Release): Promise<void> {
  const { charts, remote, write, say } = release;
  const helm = release.isDryRun ? 'helm' : await goTool('helm', say);
  const printed = await remote([helm, 'push', packageOf(release), `oci://${charts}`]);
  if (printed === undefined) return;
  const digest = /sha256:[0-9a-f]{64}/.exec(printed)?.[0];
  if (digest === undefined) throw new Error(`helm push printed no digest: ${printed}`);
  write('chart.json', `${JSON.stringify({ reference: `${charts}/mtls-operator@${digest}` })}\n`);
}

async function writeChecksums(release: Release): Promise<void> {
  const files = [packageOf(release), release.path('sbom.cdx.json'), release.path('bases.json')];
  const lines = files.map((file) => {
    const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
    return `${sum}  ${basename(file)}`;
  });
  release.write('SHA256SUMS', `${lines.join('\n')}\n`);
  release.say(`release/SHA256SUMS: ${lines.length} files`);
}

async function sign(release: Release): Promise<void> {
  const { isDryRun, charts, read, remote, path } = release;
  const image = pushedImage(release);
  const chart = isDryRun
    ? `${charts}/mtls-operator@sha256:DIGEST`
    : (JSON.parse(read('chart.json')) as { reference: string }).reference;
  await remote(['cosign', 'sign', '--yes', '--recursive', image]);
  await remote(['cosign', 'attest', '--yes', '--type=cyclonedx', `--predicate=${path('sbom.cdx.json')}`, image]);
  await remote(['cosign', 'sign', '--yes', chart]);
  const bundle = `--bundle=${path('SHA256SUMS.sigstore.json')}`;
  await remote(['cosign', 'sign-blob', '--yes', bundle, path('SHA256SUMS')]);
}

const artifactHubTypes = {
  config: 'application/vnd.cncf.artifacthub.config.v1+yaml',
  layer: 'application/vnd.cncf.artifacthub.repository-metadata.layer.v1.yaml',
};

async function pushArtifactHub({ charts, remote }: Release): Promise<void> {
  const target = `${charts}/mtls-operator:artifacthub.io`;
  const config = `/dev/null:${artifactHubTypes.config}`;
  await remote(['oras', 'push', target, '--config', config, `artifacthub-repo.yml:${artifactHubTypes.layer}`]);
}

async function publish(release: Release): Promise<void> {
  const { version, path, remote } = release;
  const names = ['SHA256SUMS', 'SHA256SUMS.sigstore.json', 'sbom.cdx.json', 'bases.json'];
  const files = [packageOf(release), ...names.map(path)];
  const flags = ['--verify-tag', '--title', version, '--notes-file', path('notes.md')];
  await remote(['gh', 'release', 'create', release.tag ?? `v${version}`, ...flags, ...files]);
}
