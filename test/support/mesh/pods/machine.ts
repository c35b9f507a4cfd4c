import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

import { cacheFolder } from '../../../../tools/controlplane/folders.ts';

const ROOT = join(import.meta.dirname, '../../../..');

/** A folder of this machine that a container mounts at the same path, read-only. */
export interface MachineFolder {
  readonly volume: { readonly name: string; readonly hostPath: { readonly path: string } };
  readonly mount: { readonly name: string; readonly mountPath: string; readonly readOnly: true };
}

export interface Machine {
  readonly folders: readonly MachineFolder[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * What a container needs so that the programs of this machine run in it: an image with nginx, a JDK, Node.js and Python would
 * take longer to write than the whole test.
 */
export function machine(): Machine {
  const python = evaluate('import sys; print(sys.executable)');
  const pythonHome = evaluate('import sys; print(sys.base_prefix)');
  const paths = [
    '/usr',
    '/lib',
    '/lib64',
    '/etc/alternatives',
    // Debian keeps the settings of a JDK there.
    ...globSync('/etc/java-*-openjdk'),
    join(cacheFolder(), 'peers'),
    ROOT,
    ...(pythonHome.startsWith('/usr') ? [] : [pythonHome]),
  ];
  return {
    folders: paths.map((path, number) => ({
      volume: { name: `machine-${number}`, hostPath: { path } },
      mount: { name: `machine-${number}`, mountPath: path, readOnly: true },
    })),
    env: { HOME: homedir(), PATH: `${dirname(python)}:${process.env['PATH']}` },
  };
}

/** The library that gives a program another time (Debian: apt-get install faketime). */
export const fakeTimeLibrary = (): string | undefined => globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0];

function evaluate(program: string): string {
  return spawnSync('python3', ['-c', program]).stdout.toString().trim();
}
