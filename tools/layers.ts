// The layers of src, and a check of all imports. ARCHITECTURE.md explains each layer.

import { dirname, join, posix } from 'node:path';

/** The folders that a folder of src may import, and its own layers. */
interface Folder {
  /** Other folders of src. */
  readonly imports: readonly string[];
  /**
   * Sub-folders and files, the lowest layer first. A layer may import the layers before it. Members of the same layer do not
   * import each other.
   */
  readonly layers: ReadonlyArray<readonly string[]>;
  /** Other folders import this folder only through its index.ts. */
  readonly hasFace: boolean;
}

export const folders: Readonly<Record<string, Folder>> = {
  api: {
    imports: [],
    layers: [['constants.ts', 'object-name.ts', 'reasons.ts', 'types.ts', 'schema.ts'], ['manifest.ts']],
    hasFace: false,
  },
  config: {
    imports: ['api', 'plan', 'kube', 'telemetry'],
    layers: [['command-line.ts'], ['authorities-file.ts', 'listen-flags.ts'], ['config.ts'], ['check-folders.ts']],
    hasFace: false,
  },
  pki: {
    imports: [],
    layers: [['pki-error.ts'], ['asn1'], ['keys'], ['x509'], ['issuer', 'keystore', 'leaf', 'lint'], ['issue']],
    hasFace: true,
  },
  plan: {
    imports: ['api', 'pki'],
    layers: [
      ['text', 'timing'],
      ['records'],
      ['revocation', 'policy'],
      ['certificate'],
      ['rotation'],
      ['authority'],
      ['trust'],
      ['pods'],
    ],
    hasFace: true,
  },
  kube: {
    imports: [],
    layers: [['async'], ['workqueue'], ['api'], ['cache', 'controller'], ['leaderelection', 'events']],
    hasFace: true,
  },
  telemetry: {
    imports: [],
    layers: [
      ['idle-collection.ts', 'mirrored-gauge.ts', 'server.ts', 'text-line.ts', 'tls-files.ts', 'token-gate.ts'],
      ['logger.ts', 'metric-registry.ts'],
      ['runtime-metrics.ts'],
      ['metrics.ts', 'metrics-server.ts'],
    ],
    hasFace: false,
  },
  cli: {
    imports: ['api', 'pki', 'plan'],
    layers: [['import']],
    hasFace: true,
  },
  controllers: {
    imports: ['api', 'pki', 'plan', 'kube', 'telemetry'],
    layers: [
      ['objects'],
      ['cache'],
      ['certificate', 'authority', 'trust', 'pods'],
      ['event-handlers.ts', 'replica.ts'],
      ['reconcilers.ts'],
      ['leader-term.ts'],
      ['operator.ts'],
      ['metric-sources.ts'],
    ],
    hasFace: true,
  },
};

/** The programs. They may import every index.ts, and no folder imports them. */
const programs: ReadonlySet<string> = new Set(['main.ts', 'stop-signal.ts', 'version.ts']);

/** A source file: its path below src, with slashes, and its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/**
 * The problems in the structure of src, one sentence each: imports against the layers, import cycles, imports that bypass an
 * index.ts, files without a layer, and two files with one name. Imports of types count as imports.
 */
export function layerProblems(sources: readonly Source[]): string[] {
  const imports = new Map(sources.map(({ path, text }) => [path, importsOf(path, text)]));
  const misplaced = sources.flatMap(({ path }) =>
    isPlaced(path) ? [] : `${path} has no layer: add it to tools/layers.ts`,
  );
  const against = [...imports].flatMap(([path, targets]) => targets.flatMap((target) => problemOf(path, target) ?? []));
  return [...misplaced, ...against, ...cyclesIn(imports), ...namesakesIn(sources)];
}

const importStatement = /^(?:import|export)\b(?:[^';]*?\bfrom)?\s*'(\.[^']+)'|\bimport\(\s*'(\.[^']+)'/gm;

function importsOf(path: string, text: string): string[] {
  const specifiers = [...text.matchAll(importStatement)].map(([, fixed, dynamic]) => fixed ?? dynamic ?? '');
  return [...new Set(specifiers.map((specifier) => posix.normalize(posix.join(dirname(path), specifier))))];
}

/** The folder of a path, and its layer in that folder; undefined for a path without a layer. */
interface Place {
  readonly folder: string;
  readonly member: string;
  readonly layer: number | undefined;
}

function placeOf(path: string): Place {
  const [folder = '', member = ''] = path.split('/');
  const layer = folders[folder]?.layers.findIndex((members) => members.includes(member)) ?? -1;
  return { folder, member, layer: layer === -1 ? undefined : layer };
}

const isFace = (path: string): boolean =>
  path === join(dirname(path), 'index.ts') && folders[dirname(path)]?.hasFace === true;

const isPlaced = (path: string): boolean => programs.has(path) || isFace(path) || placeOf(path).layer !== undefined;

function problemOf(path: string, target: string): string | undefined {
  const says = (why: string): string => `${path} imports ${target}: ${why}`;
  if (programs.has(target)) {
    return programs.has(path) ? undefined : says('a folder must not import a program');
  }
  const [from, to] = [placeOf(path), placeOf(target)];
  if (from.folder !== to.folder) {
    const allowed = programs.has(path) ? Object.keys(folders) : (folders[from.folder]?.imports ?? []);
    if (!allowed.includes(to.folder))
      return says(`${from.folder} may import ${allowed.join(', ') || 'no other folder'}`);
    return folders[to.folder]?.hasFace !== true || isFace(target) ? undefined : says(`use ${to.folder}/index.ts`);
  }
  if (isFace(path)) return undefined;
  if (isFace(target)) return says('a folder must not import its own index.ts');
  if (from.member === to.member || from.layer === undefined || to.layer === undefined || to.layer < from.layer)
    return undefined;
  return says(`${to.member} is not a lower layer than ${from.member}`);
}

/** Between folders, the layers already exclude cycles. */
const isInside = (path: string, target: string): boolean =>
  !isFace(target) && placeOf(path).folder === placeOf(target).folder;

function cyclesIn(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      cycles.push(`import cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`);
      return;
    }
    if (done.has(path)) return;
    for (const target of imports.get(path) ?? []) if (isInside(path, target)) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of imports.keys()) visit(path, []);
  return cycles;
}

/** A file name that occurs once can be found without its folder. */
function namesakesIn(sources: readonly Source[]): string[] {
  const byName = Map.groupBy(
    sources.filter(({ path }) => !isFace(path)),
    ({ path }) => posix.basename(path),
  );
  return [...byName.values()]
    .filter((namesakes) => namesakes.length > 1)
    .map((namesakes) => `several files have the same name: ${namesakes.map(({ path }) => path).join(', ')}`);
}
