import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { CONTROL_PLANE_SOURCES } from '../controlplane/build.ts';
import { type GoBuild, goBuild, moduleVersion } from '../controlplane/go-build.ts';
import type { ImageSpec } from './image.ts';

/** Kubernetes' own test programs, of the version of the control plane. */
export function agnhostBuild(): GoBuild {
  const version = moduleVersion(readFileSync(join(CONTROL_PLANE_SOURCES, 'go.mod'), 'utf8'), 'k8s.io/kubernetes');
  return {
    title: `agnhost (Kubernetes ${version})`,
    sources: CONTROL_PLANE_SOURCES,
    files: ['go.mod', 'go.sum'],
    package: 'k8s.io/kubernetes/test/images/agnhost',
    linkerFlags: '-s -w',
    cache: 'agnhost',
    version,
    program: 'agnhost',
  };
}

/** The image `localhost/agnhost:1`. The first call on a machine builds the program. */
export async function agnhostImage(log: (line: string) => void = console.error): Promise<ImageSpec> {
  const build = agnhostBuild();
  const program = join(await goBuild(build, log), build.program);
  return {
    name: 'localhost/agnhost:1',
    programs: { '/agnhost': program },
    entrypoint: ['/agnhost'],
    command: ['pause'],
  };
}
