import { fileURLToPath } from 'node:url';

import { output } from '../controlplane/command.ts';

/** The Go modules of which tests use files, by a short name, with the folder of the go.mod that has the version. */
const MODULES = {
  'cert-manager': { module: 'github.com/cert-manager/cert-manager', folder: './cert-manager' },
  'prometheus-operator': {
    module: 'github.com/prometheus-operator/prometheus-operator',
    folder: '../../test/support/chart/prometheus-operator',
  },
} as const;

type GoModule = keyof typeof MODULES;

export const GO_MODULES = Object.keys(MODULES) as GoModule[];

/** The folder of a module in the module cache of Go, which downloads it the first time. */
export async function goModule(name: GoModule): Promise<string> {
  const { module, folder } = MODULES[name];
  const cwd = fileURLToPath(new URL(folder, import.meta.url));
  const { code, stdout, stderr } = await output('go', ['mod', 'download', '-json', module], { cwd });
  if (code !== 0) throw new Error(`Go cannot download ${module}: ${stdout}${stderr}`);
  return (JSON.parse(stdout) as { readonly Dir: string }).Dir;
}
