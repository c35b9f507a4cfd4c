import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OperatorOptions } from '../support/operator.ts';

const controller = '/sys/fs/cgroup/memory';
const launcher = fileURLToPath(new URL('confined.mjs', import.meta.url));

/** The heap limit that Node.js chooses in a container of 512 MiB. */
const heapMiB = 256;

/** A limit like that of the Deployment's container. */
export interface MemoryLimit {
  readonly how: string;
  /** The options that start the compiled operator under the limit. */
  options(main: string): OperatorOptions;
  /** The peak charge of the cgroup, including its page cache; undefined without a cgroup. */
  peakBytes(): number | undefined;
  /** Removes the cgroup. The process must have ended. */
  end(): void;
}

let made = 0;

/** A memory cgroup if this process may create one (v1, as root); otherwise only a heap limit. */
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
