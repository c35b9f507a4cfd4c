import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type GoBuild, goBuild, goBuildFolder, moduleVersion } from './go-build.ts';
import { NODE_PROGRAMS, PROGRAMS } from './programs.ts';

const SOURCES = fileURLToPath(new URL('go/', import.meta.url));

function controlPlane(): GoBuild {
  const kubernetes = moduleVersion(readFileSync(join(SOURCES, 'go.mod'), 'utf8'), 'k8s.io/kubernetes');
  return {
    title: `the Kubernetes ${kubernetes} control plane`,
    sources: SOURCES,
    files: ['go.mod', 'go.sum', 'main.go', 'node_linux.go'],
    package: '.',
    linkerFlags: linkerFlags(kubernetes),
    cache: 'controlplane',
    version: kubernetes,
    program: 'controlplane',
    otherwise:
      'Or set KUBERNETES_DOWNLOAD=1 to use official release files, or KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl.',
    complete(folder) {
      for (const program of [...PROGRAMS, ...NODE_PROGRAMS]) symlinkSync('controlplane', join(folder, program));
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

/** The folder for a build of these sources. It exists only when the build is complete. */
export const buildFolder = (): string => goBuildFolder(controlPlane());

/** Builds the control plane into `buildFolder()` and returns that folder. Processes that ask at the same time share one build. */
export const buildBinaries = (log: (line: string) => void): Promise<string> => goBuild(controlPlane(), log);
