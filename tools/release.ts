// npm run release -- STEP: one step of a release, as .github/workflows/release.yml runs it.
// npm run release -- --dry-run: all steps. It prints the commands that push, sign or ask a registry instead of running them.

import { openRelease } from './release/release.ts';
import { STEPS } from './release/steps.ts';

const USAGE = `Usage: npm run release -- STEP
       npm run release -- --dry-run [STEP]

${STEPS.map(({ name, does }) => `  ${name.padEnd(13)} ${does}`).join('\n')}
`;

async function main(words: readonly string[]): Promise<number> {
  const isDryRun = words.includes('--dry-run');
  const names = words.filter((word) => word !== '--dry-run');
  const [name] = names;
  const steps = name === undefined ? STEPS : STEPS.filter((step) => step.name === name);
  if (names.length > 1 || steps.length === 0 || (name === undefined && !isDryRun)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const release = await openRelease(isDryRun, process.env, (line) => console.log(`  ${line}`));
  for (const { name, does, run } of steps) {
    console.log(`${name}: ${does}`);
    await run(release);
  }
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
