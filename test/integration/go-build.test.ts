import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { output } from '../../tools/controlplane/command.ts';
import { eventually } from '../support/eventually.ts';
import { scratchFolder } from '../support/scratch.ts';

/** The packages of the program. Each imports the one before it, so Go compiles them one after another. */
const CHAIN = 12;

/** The package whose compiler waits until the build is interrupted. The packages before it are compiled. */
const INTERRUPTED_AT = 8;

const GO_BUILD = fileURLToPath(new URL('../../tools/controlplane/go-build.ts', import.meta.url));

/** Runs Go and keeps a copy of its standard error, which names each package that it begins to compile. */
const WRAPPER = `#!/usr/bin/env bash
set -o pipefail
echo $$ > "$GO_PID"
{ "$REAL_GO" "$@" 2>&1 1>&3 | tee -a "$GO_LOG" >&2; } 3>&1
`;

/**
 * Go runs the compiler and the linker with this. The first build waits forever when it reaches the tool and the package that the
 * test has named, and creates a file.
 */
const TOOL_WRAPPER = `#!/usr/bin/env bash
tool=$(basename "$1")
if [ "$2" != -V=full ] && [ -n "$BLOCKED" ] && [ "$tool $TOOLEXEC_IMPORTPATH" = "$BLOCKED" ] && [ ! -e "$CONTINUE" ]; then
  touch "$REACHED"
  exec sleep infinity
fi
exec "$@"
`;

/** A module that no cache has, and the command that builds it. The first build waits at \`blocked\`: "compile PACKAGE". */
async function chain(blocked = '') {
  const folder = await scratchFolder('go-build');
  const sources = join(folder, 'sources');
  mkdirSync(sources);
  writeFileSync(join(sources, 'go.mod'), 'module example.com/chain\n\ngo 1.21\n');
  writeFileSync(join(sources, 'go.sum'), '');
  const salt = randomUUID();
  for (let index = 1; index <= CHAIN; index++) {
    mkdirSync(join(sources, `p${index}`));
    // A package whose imports look the same from outside is not compiled again, so each has its own salt.
    const text = `"${salt} ${index}"`;
    const before = index === 1 ? text : `p${index - 1}.Text + ${text}`;
    const imports = index === 1 ? '' : `import "example.com/chain/p${index - 1}"\n`;
    writeFileSync(join(sources, `p${index}`, 'p.go'), `package p${index}\n${imports}\nvar Text = ${before}\n`);
  }
  writeFileSync(
    join(sources, 'main.go'),
    `package main\n\nimport "example.com/chain/p${CHAIN}"\n\nfunc main() { println(p${CHAIN}.Text) }\n`,
  );

  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'go'), WRAPPER, { mode: 0o755 });
  writeFileSync(join(bin, 'tool'), TOOL_WRAPPER, { mode: 0o755 });
  const build = {
    title: 'the chain',
    sources,
    files: ['go.mod', 'go.sum', 'main.go'],
    package: '.',
    linkerFlags: '-s -w',
    cache: 'chain',
    version: '1.0.0',
    program: 'chain',
  };
  const script = `
    const { goBuild } = await import(${JSON.stringify(GO_BUILD)});
    console.log(await goBuild(${JSON.stringify(build)}, console.log));
  `;
  const goCache = (await output('go', ['env', 'GOCACHE', 'GOMODCACHE'])).stdout.split('\n');
  const realGo = (await output('sh', ['-c', 'command -v go'])).stdout.trim();
  const [logFile, pidFile] = [join(folder, 'log'), join(folder, 'pid')];
  const [reached, goOn] = [join(folder, 'reached'), join(folder, 'continue')];
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env['PATH']}`,
    XDG_CACHE_HOME: join(folder, 'cache'),
    // Go's own cache is below XDG_CACHE_HOME, too. This one already has the standard library.
    GOCACHE: goCache[0],
    GOMODCACHE: goCache[1],
    GOFLAGS: `-toolexec=${join(bin, 'tool')}`,
    BLOCKED: blocked,
    REACHED: reached,
    CONTINUE: goOn,
    REAL_GO: realGo,
    GO_LOG: logFile,
    GO_PID: pidFile,
  };
  const readLog = (): string[] => (existsSync(logFile) ? readFileSync(logFile, 'utf8').split('\n') : []);
  return {
    start() {
      writeFileSync(logFile, '');
      const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { env, stdio: 'pipe' });
      let stdout = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      const closed = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout }));
      return { child, closed };
    },
    isBlocked: (): boolean => existsSync(reached),
    /** Lets the next build run to its end. */
    unblock: (): void => writeFileSync(goOn, ''),
    /** The packages that Go has begun to compile, without those of the standard library. */
    begun: (): string[] => readLog().filter((line) => line.startsWith('example.com/chain')),
    /** The complete builds, and what an interrupted build has left. */
    entries: (): string[] => globSync('*', { cwd: join(folder, 'cache/mtls-operator/chain') }).filter(isNoLock),
    goIsRunning: (): boolean => isGroup(Number(readFileSync(pidFile, 'utf8'))),
  };
}

const isNoLock = (name: string): boolean => !name.endsWith('.lock');

function isGroup(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}

before(async () => {
  // The standard library, with the flags of the build.
  const { code, stdout } = await (await chain()).start().closed;
  assert.equal(code, 0, stdout);
});

for (const { moment, blocked, signal } of [
  { moment: 'while it compiles', blocked: `compile example.com/chain/p${INTERRUPTED_AT}`, signal: 'SIGINT' },
  { moment: 'while it compiles', blocked: `compile example.com/chain/p${INTERRUPTED_AT}`, signal: 'SIGKILL' },
  { moment: 'while it links', blocked: 'link example.com/chain', signal: 'SIGTERM' },
] as const) {
  test(`a build with Go that gets a ${signal} ${moment} ends, leaves nothing, and the next one continues`, async (t) => {
    const project = await chain(blocked);
    const { child, closed } = project.start();
    t.after(() => child.kill('SIGKILL'));
    await eventually(() => assert.ok(project.isBlocked()), {
      message: 'Go does not reach the package',
      timeoutMs: 180_000,
    });
    child.kill(signal);
    const interrupted = await closed;
    assert.deepEqual([interrupted.code, interrupted.signal], [null, signal], interrupted.stdout);
    if (signal !== 'SIGKILL') assert.match(interrupted.stdout, /the next run continues/);
    await eventually(() => assert.ok(!project.goIsRunning()), {
      message: 'Go is still running',
      timeoutMs: 120_000,
    });
    await eventually(() => assert.deepEqual(project.entries(), []), {
      message: 'the build left something',
      timeoutMs: 120_000,
    });

    const finished = project.begun().slice(0, -1);
    project.unblock();
    const second = project.start();
    const complete = await second.closed;
    assert.equal(complete.code, 0, complete.stdout);
    assert.equal(project.entries().length, 1);
    const again = project.begun();
    assert.deepEqual(
      finished.filter((path) => again.includes(path)),
      [],
      'the second build compiled a package again',
    );
    assert.ok(finished.length >= INTERRUPTED_AT - 1);
  });
}
