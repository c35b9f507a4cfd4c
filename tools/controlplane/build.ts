import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type GoBuild, goBuild, goBuildFolder, moduleVersion } from './go-build.ts';
import { NODE_PROGRAMS, PROGRAMS } from './programs.ts';

const SOURCES = fileURLToPath(new URL('go/', import.meta.url));

/** The control plane, with or without the programs of a node, which take part of a minute to compile. */
function controlPlane({ node }: { readonly node: boolean }): GoBuild {
  const kubernetes = moduleVersion(readFileSync(join(SOURCES, 'go.mod'), 'utf8'), 'k8s.io/kubernetes');
  return {
    title: `the Kubernetes ${kubernetes} control plane${node ? ' with a node' : ''}`,
    sources: SOURCES,
    files: ['go.mod', 'go.sum', 'main.go', ...(node ? ['node_linux.go'] : [])],
    ...(node ? { tags: ['node'] } : {}),
    package: '.',
    linkerFlags: linkerFlags(kubernetes),
    cache: 'controlplane',
    version: kubernetes,
    program: 'controlplane',
    otherwise:
      'Or set KUBERNETES_DOWNLOAD=1 to use official release files, or KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl.',
    complete(folder) {
      for (const program of [...PROGRAMS, ...(node ? NODE_PROGRAMS : [])])
        symlinkSync('controlplane', join(folder, program));
    },
  };
}

/** Sets the version as a release build does, because clients cannot parse the version of a server without one. */
function linkerFlags(kubernetes: string): string {
  const [major, minor] = kubernetes.split('.');
  const stamps = [
    `k8s.io/component-base/version.gitVersion=v${kubernetes}`,
    `k8s.io/component-base/version.gitMajor=${major}`,
    `k8s.io/component-base/version.gitMinor=${minor}`,
    `k8s.io/client-go/pkg/version.gitVersion=v${kubernetes}`,
  ];
  return ['-s', '-w', ...stamps.map((stamp) => `-X ${stamp}`)].join(' ');
}

/** The folders for builds of these sources, with the programs of a node first. Each exists only when it is complete. */
export const buildFolders = (): readonly string[] => [true, false].map((node) => goBuildFolder(controlPlane({ node })));

/**
 * Builds the control plane, if asked for with the programs of a node, and returns its folder. Processes that ask at the same
 * time share one build.
 */
export const buildBinaries = (log: (line: string) => void, { node = false } = {}): Promise<string> =>
  goBuild(controlPlane({ node }), log);
