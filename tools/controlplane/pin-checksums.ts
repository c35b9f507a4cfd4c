// node tools/run.mjs tools/controlplane/pin-checksums.ts: pins the checksums of the official files in checksums.txt.

import { writeFileSync } from 'node:fs';

import { fetchChecksum } from './download.ts';
import { PINNED, RELEASE_ARCHITECTURES, releasesFor } from './releases.ts';
import { createClient, DownloadError } from './transfer.ts';

const HEADER = `# The SHA-256 of the official files that "npm run demo -- --download" uses, as the release servers published them when a maintainer ran
# node tools/run.mjs tools/controlplane/pin-checksums.ts
# A file that is not listed is compared with the checksum that its server publishes on the day of the download.
`;

/** Reads the published checksums for every architecture and returns the text of checksums.txt. Throws a DownloadError. */
export async function publishedChecksums(): Promise<string> {
  const client = createClient(20_000);
  const stop = new AbortController();
  try {
    const files = RELEASE_ARCHITECTURES.flatMap(
      (arch) => releasesFor({ platform: 'linux', arch }, process.env)?.files ?? [],
    );
    const lines = await Promise.all(
      files.map(async (file) => `${await fetchChecksum(file, client, stop.signal)}  ${file.path}\n`),
    );
    return HEADER + lines.join('');
  } finally {
    await client.close();
  }
}

if (import.meta.main) {
  try {
    writeFileSync(PINNED, await publishedChecksums());
    console.log(`${PINNED} has the checksums of the current versions. Verify the signatures before you commit it:`);
    console.log('  https://kubernetes.io/docs/tasks/administer-cluster/verify-signed-artifacts/');
  } catch (error) {
    console.error(error instanceof DownloadError ? `${error.message}. ${PINNED} is unchanged.` : error);
    process.exitCode = 1;
  }
}
