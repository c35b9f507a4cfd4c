import { setTimeout as delay } from 'node:timers/promises';

import { mountSecret, type SecretFiles } from '../peers/index.ts';

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
  /** The longest time, in milliseconds, between the writing of a state and its use. */
  readonly slowestMs: number;
}

/** Goes on with a folder in which a Secret is mounted; the program that uses it has to `reload` after each change. */
export function laggingMount(folder: string, lagMs: number, reload = async (): Promise<void> => {}): LaggingMount {
  let deliveries = Promise.resolve();
  let folderUse: Promise<unknown> = deliveries;
  let slowestMs = 0;

  const undisturbed: LaggingMount['undisturbed'] = (work) => {
    const done = folderUse.then(work);
    folderUse = done.catch(() => {});
    return done;
  };

  async function take({ files, writtenAt }: SecretState): Promise<void> {
    await undisturbed(() => mountSecret(folder, files));
    await reload();
    slowestMs = Math.max(slowestMs, Date.now() - writtenAt);
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
    get slowestMs() {
      return slowestMs;
    },
  };
}
