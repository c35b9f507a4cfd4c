import { setTimeout as delay } from 'node:timers/promises';

import { type MountOptions, mountSecret, type SecretFiles } from '../peers/index.ts';

/** One state of a Secret. */
export interface SecretState {
  readonly files: SecretFiles;
  /** When it was written, in milliseconds since 1970. */
  readonly writtenAt: number;
}

/** A folder in which a pod finds its Secret, always the same time after it is written. */
export interface LaggingMount {
  readonly folder: string;
  /** Delivers another state. It is mounted after the lag. States are mounted in order. */
  deliver(state: SecretState): void;
  /** Resolves when all delivered states are in use. Throws if mounting one of them failed. */
  settled(): Promise<void>;
  /** Runs `work` while the folder does not change. */
  undisturbed<T>(work: () => Promise<T>): Promise<T>;
  /** The longest time from being written to being in use, of all states in use since `time`, in milliseconds. */
  slowestMs(time: number): number;
}

/** Starts with a folder in which a Secret is mounted. `reload` makes the program load a change. */
export function laggingMount(
  folder: string,
  lagMs: number,
  reload = async (): Promise<void> => {},
  options: MountOptions = {},
): LaggingMount {
  let deliveries = Promise.resolve();
  let folderUse: Promise<unknown> = deliveries;
  const used: { readonly at: number; readonly tookMs: number }[] = [];

  const undisturbed: LaggingMount['undisturbed'] = (work) => {
    const done = folderUse.then(work);
    folderUse = done.catch(() => {});
    return done;
  };

  async function mount({ files, writtenAt }: SecretState): Promise<void> {
    await undisturbed(() => mountSecret(folder, files, options));
    await reload();
    const at = Date.now();
    used.push({ at, tookMs: at - writtenAt });
  }

  return {
    folder,
    undisturbed,
    deliver(state) {
      const due = delay(lagMs);
      deliveries = deliveries.then(() => due).then(() => mount(state));
      // `settled` reports the error.
      deliveries.catch(() => {});
    },
    settled: () => deliveries,
    slowestMs: (time) => Math.max(0, ...used.filter(({ at }) => at >= time).map(({ tookMs }) => tookMs)),
  };
}
