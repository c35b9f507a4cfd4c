// Records a run of the demo as docs/images/demo.svg: node tools/run.mjs tools/recording.ts

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { type TerminalLine, terminalSvg } from './terminal-svg.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FILE = 'docs/images/demo.svg';

const started = performance.now();
const lines: TerminalLine[] = [];
// --silent leaves out npm's own banner.
const demo = spawn('npm', ['run', '--silent', 'demo', '--', '--once'], {
  cwd: ROOT,
  env: { ...process.env, FORCE_COLOR: '1' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const output = createInterface({ input: demo.stdout });
output.on('line', (text) => {
  lines.push({ atMs: performance.now() - started, text });
  process.stdout.write(`${text}\n`);
});
const [[code]] = await Promise.all([once(demo, 'exit'), once(output, 'close')]);
if (code !== 0) {
  process.stderr.write(`the demo failed with exit code ${code}; ${FILE} is unchanged\n`);
  process.exit(1);
}

writeFileSync(
  join(ROOT, FILE),
  terminalSvg({
    title: 'A run of npm run demo -- --once',
    description:
      'The demo starts a Kubernetes control plane, installs the operator, creates a root, issues a server and a client certificate, mounts them, connects two programs with mutual TLS, and shows that a client without a certificate and a client with a certificate from another root are refused. It rotates both certificates while the client keeps calling: no call is refused.',
    command: 'npm run demo -- --once',
    lines,
  }),
);
process.stdout.write(`\nwrote ${FILE}\n`);
