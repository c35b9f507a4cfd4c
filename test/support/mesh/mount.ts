import { setTimeout as delay } from 'node:timers/promises';

import { type MountOptions, mountSecret, type SecretFiles } from '../peers/index.ts';

/** One state of a Secret. */
export interface SecretState {
  readonly files: SecretFiles;
  /** When it was written, in milliseconds since 1970. */
  readonly writtenAt: number;
}

/** The folder in which a pod finds its Secret, always the same time behind what is written. */
export interface LaggingMount {
  readonly folder: string;
  /** A further state. It is mounted after the lag; several follow one another in their order. */
  deliver(state: SecretState): void;
  /** Resolves when all that was delivered is in use. Throws if one of them could not be mounted. */
  settled(): Promise<void>;
  /** Does something that the folder must not change under. */
  undisturbed<T>(work: () => Promise<T>): Promise<T>;
  /** Of all that is in use since `time`, the longest that one took from being written to being in use, in milliseconds. */
  slowestMs(time: number): number;
}

/** Goes on with a folder in which a Secret is mounted; the program that uses it has to `reload` after each change. */
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

  async function take({ files, writtenAt }: SecretState): Promise<void> {
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
      deliveries = deliveries.then(() => due).then(() => take(state));
      // Whoever asks for settled() hears of it.
      deliveries.catch(() => {});
    },
    settled: () => deliveries,
    slowestMs: (time) => Math.max(0, ...used.filter(({ at }) => at >= time).map(({ tookMs }) => tookMs)),
  };
}
