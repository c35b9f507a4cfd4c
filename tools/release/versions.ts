import { parse } from 'yaml';

import { changelogSections } from './notes.ts';

/** The texts that name the version of the operator. */
export interface VersionedFiles {
  readonly packageJson: string;
  readonly packageLock: string;
  readonly chart: string;
  readonly dockerfile: string;
  readonly changelog: string;
}

/** The version that is going to be released. */
export function versionOf({ packageJson }: Pick<VersionedFiles, 'packageJson'>): string {
  return (JSON.parse(packageJson) as { version: string }).version;
}

/**
 * What is wrong with the version before a release, one sentence for each place; none if all agree.
 * @param tag the tag of the commit; undefined for a dry run, for which the changelog may still say Unreleased
 */
export function versionProblems(files: VersionedFiles, tag: string | undefined): string[] {
  const version = versionOf(files);
  const lock = JSON.parse(files.packageLock) as { version: string; packages: Record<string, { version: string }> };
  const chart = parse(files.chart) as { version: string; appVersion: string };
  const label = /org\.opencontainers\.image\.version="([^"]*)"/.exec(files.dockerfile)?.[1];
  const places: ReadonlyArray<readonly [place: string, found: string | undefined]> = [
    ['package-lock.json', lock.version],
    ['packages[""] of package-lock.json', lock.packages['']?.version],
    ['version of Chart.yaml', chart.version],
    ['appVersion of Chart.yaml', chart.appVersion],
    ['the label org.opencontainers.image.version of the Dockerfile', label],
  ];
  const problems = places
    .filter(([, found]) => found !== version)
    .map(([place, found]) => `${place} is ${found ?? 'missing'}, and package.json says ${version}`);
  if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version)) problems.push(`the version ${version} is not semantic`);
  if (tag !== undefined && tag !== `v${version}`) problems.push(`the tag is ${tag}, and should be v${version}`);
  return [...problems, ...changelogProblems(files.changelog, version, tag !== undefined)];
}

function changelogProblems(changelog: string, version: string, isTagged: boolean): string[] {
  const sections = changelogSections(changelog);
  const released = sections.find((section) => section.version === version);
  const unreleased = sections.find((section) => section.version === 'Unreleased');
  if (released === undefined) {
    if (!isTagged && unreleased !== undefined && unreleased.text !== '') return [];
    return [`CHANGELOG.md has no section "## [${version}] - YYYY-MM-DD": move the entries of [Unreleased] there`];
  }
  const problems = [];
  if (released.date === undefined) problems.push(`the heading of ${version} in CHANGELOG.md has no date`);
  if (released.text === '') problems.push(`the section of ${version} in CHANGELOG.md is empty`);
  if (isTagged && unreleased !== undefined && unreleased.text !== '') {
    problems.push(`CHANGELOG.md has entries in [Unreleased] that belong to ${version} or to a later commit`);
  }
  return problems;
}
