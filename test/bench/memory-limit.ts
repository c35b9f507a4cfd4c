import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OperatorOptions } from '../support/operator.ts';

const controller = '/sys/fs/cgroup/memory';
const launcher = fileURLToPath(new URL('confined.mjs', import.meta.url));

/** What Node.js takes in a container of 512 MiB. */
const heapMiB = 256;

/** A limit like that of the Deployment's container. */
export interface MemoryLimit {
  readonly how: string;
  /** How to start the compiled operator under it. */
  options(main: string): OperatorOptions;
  /** The most that the container has been charged with, its page cache included; undefined where it is not known. */
  peakBytes(): number | undefined;
  /** Takes away what was made. The process has to be gone. */
  end(): void;
}

let made = 0;

/** A memory cgroup where this process may make one (v1, as root); else a limit of the heap alone. */
export function memoryLimit(bytes: number): MemoryLimit {
  const folder = join(controller, `mtls-bench-${process.pid}-${++made}`);
  try {
    if (!existsSync(join(controller, 'memory.limit_in_bytes'))) throw new Error('no cgroup v1');
    mkdirSync(folder);
    writeFileSync(join(folder, 'memory.limit_in_bytes'), String(bytes));
  } catch {
    return {
      how: `a heap of ${heapMiB} MiB`,
      options: (main) => ({ main, env: { NODE_OPTIONS: `--max-old-space-size=${heapMiB}` } }),
      peakBytes: () => undefined,
      end: () => undefined,
    };
  }
  return {
    how: `a memory cgroup of ${bytes / 2 ** 20} MiB`,
    options: (main) => ({ main: launcher, env: { CONFINED_CGROUP: folder, CONFINED_MAIN: main } }),
    peakBytes: () => Number(readFileSync(join(folder, 'memory.max_usage_in_bytes'), 'utf8')),
    end: () => rmdirSync(folder),
  };
}
