import { join } from 'node:path';

import { cacheFolder } from '../../../tools/controlplane/folders.ts';
import { missing } from '../missing.ts';
import { beyond, noEmailNames, noForm, noKeys } from './limits.ts';
import { programJudge } from './program.ts';
import { built } from './programs.ts';

/** The target folder is kept: the libraries take minutes to compile, and change less often than the program. */
const build =
  'cargo build --release --locked --quiet --manifest-path "$1" --target-dir "$2" && cp "$2/release/judge" "$3"';

/** rustls-webpki with one of the two cryptography libraries of rustls. */
const webpki = (library: 'aws-lc-rs' | 'ring') =>
  programJudge(
    {
      name: `webpki (${library})`,
      missing: missing.rustAndC,
      cannotSay: beyond(noForm, noKeys, noEmailNames),
    },
    async () => {
      const folder = await built('webpki', ['Cargo.toml', 'Cargo.lock', 'src/main.rs'], (output, manifest) => [
        'sh',
        '-c',
        build,
        'sh',
        manifest,
        join(cacheFolder(), 'judge-webpki-target'),
        output,
      ]);
      return [join(folder, 'judge'), library];
    },
  );

export const webpkiWithAwsLc = webpki('aws-lc-rs');
export const webpkiWithRing = webpki('ring');
