import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Calls back with each complete line of each file in the folder, until `stop`, which reads the rest. */
export function followLines(folder: string, onLine: (line: string) => void): { stop(): Promise<void> } {
  const read = new Map<string, { offset: number; rest: string }>();
  const ending = new AbortController();

  async function readFiles(): Promise<void> {
    for (const file of await readdir(folder)) {
      const { offset, rest } = read.get(file) ?? { offset: 0, rest: '' };
      const handle = await open(join(folder, file));
      const stream = handle.createReadStream({ start: offset });
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      const added = Buffer.concat(chunks);
      if (added.length === 0) continue;
      const lines = (rest + added.toString('latin1')).split('\n');
      read.set(file, { offset: offset + added.length, rest: lines.pop() ?? '' });
      for (const line of lines) onLine(Buffer.from(line, 'latin1').toString());
    }
  }

  async function follow(): Promise<void> {
    while (!ending.signal.aborted) {
      await readFiles();
      await delay(100);
    }
    await readFiles();
  }

  const following = follow();
  // `stop` reports the error.
  following.catch(() => {});
  return {
    async stop() {
      ending.abort();
      await following;
    },
  };
}
