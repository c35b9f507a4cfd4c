import { goTool } from '../go-tools/go-tools.ts';
import type { ImageSpec } from './image.ts';

/** The image `localhost/agnhost:1` with Kubernetes' own test programs. The first call on a machine builds them. */
export async function agnhostImage(log: (line: string) => void = console.error): Promise<ImageSpec> {
  return {
    name: 'localhost/agnhost:1',
    programs: { '/agnhost': await goTool('agnhost', log) },
    entrypoint: ['/agnhost'],
    command: ['pause'],
  };
}
