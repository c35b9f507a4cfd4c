import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type GoBuild, goBuild, moduleVersion } from '../controlplane/go-build.ts';

interface Tool {
  readonly title: string;
  readonly module: string;
  readonly program: string;
  /** The package of the program, if it is not cmd/PROGRAM of the module. */
  readonly package?: string;
  /** True for a program whose main.go is in the tool's folder. */
  readonly isLocal?: boolean;
  /** The variables that a release build sets, from the version of the tool and of the Kubernetes libraries in its go.mod. */
  readonly stamps: (version: string, goMod: string) => readonly string[];
}

/** Each tool has a folder with its go.mod and go.sum. */
const TOOLS = {
  helm: {
    title: 'Helm 4',
    module: 'helm.sh/helm/v4',
    program: 'helm',
    stamps: (version) => [`helm.sh/helm/v4/internal/version.version=v${version}`],
  },
  helm3: {
    title: 'Helm 3',
    module: 'helm.sh/helm/v3',
    program: 'helm',
    stamps(version, goMod) {
      // Without these, "helm template" and "helm lint" of Helm 3 assume Kubernetes 1.20.
      const [, minor] = moduleVersion(goMod, 'k8s.io/client-go').split('.');
      const kubernetes = ['pkg/chartutil', 'pkg/lint/rules'].flatMap((folder) => [
        `helm.sh/helm/v3/${folder}.k8sVersionMajor=1`,
        `helm.sh/helm/v3/${folder}.k8sVersionMinor=${minor}`,
      ]);
      return [`helm.sh/helm/v3/internal/version.version=v${version}`, ...kubernetes];
    },
  },
  kubeconform: {
    title: 'kubeconform',
    module: 'github.com/yannh/kubeconform',
    program: 'kubeconform',
    stamps: (version) => [`main.version=v${version}`],
  },
  actionlint: {
    title: 'actionlint',
    module: 'github.com/rhysd/actionlint',
    program: 'actionlint',
    stamps: (version) => [`github.com/rhysd/actionlint.version=${version}`],
  },
  'cert-manager': {
    title: 'cert-manager',
    module: 'github.com/cert-manager/cert-manager',
    program: 'cert-manager',
    isLocal: true,
    stamps: () => [],
  },
  agnhost: {
    title: "agnhost, the programs of Kubernetes' end-to-end tests",
    module: 'k8s.io/kubernetes',
    program: 'agnhost',
    package: 'k8s.io/kubernetes/test/images/agnhost',
    stamps: (version) => [`main.Version=v${version}`],
  },
} as const satisfies Readonly<Record<string, Tool>>;

/** A program that this repository runs, at the version in its go.mod. */
export type GoTool = keyof typeof TOOLS;

export const GO_TOOLS = Object.keys(TOOLS) as GoTool[];

/** How this tool is built. */
export function goToolBuild(name: GoTool): GoBuild {
  const { title, module, program, package: path, isLocal = false, stamps }: Tool = TOOLS[name];
  const sources = fileURLToPath(new URL(`${name}/`, import.meta.url));
  const goMod = readFileSync(join(sources, 'go.mod'), 'utf8');
  const version = moduleVersion(goMod, module);
  return {
    title: `${title} (${version})`,
    sources,
    files: ['go.mod', 'go.sum', ...(isLocal ? ['main.go'] : [])],
    package: isLocal ? '.' : (path ?? `${module}/cmd/${program}`),
    linkerFlags: ['-s', '-w', ...stamps(version, goMod).map((stamp) => `-X ${stamp}`)].join(' '),
    cache: join('go-tools', name),
    version,
    program,
  };
}

/** The path of the tool. The first call on a machine builds it, which takes minutes, and reports progress to `log`. */
export async function goTool(name: GoTool, log: (line: string) => void = console.error): Promise<string> {
  const build = goToolBuild(name);
  return join(await goBuild(build, log), build.program);
}
