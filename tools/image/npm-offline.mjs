#!/usr/bin/node
// npm in a build image without a network: the packages are installed already. `npm ci` checks that they are those of
// package-lock.json, every other command is npm's own.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const [command, ...args] = process.argv.slice(2);
if (command === 'ci') {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  for (const [path, { version, dev, optional }] of Object.entries(packages)) {
    if (path === '' || dev === true || optional === true) continue;
    const installed = JSON.parse(readFileSync(`${path}/package.json`, 'utf8')).version;
    if (installed !== version) throw new Error(`${path} is ${installed}, and package-lock.json says ${version}`);
  }
} else {
  const npm = '/usr/lib/node_modules/npm/bin/npm-cli.js';
  process.exitCode = spawnSync(process.execPath, [npm, command, ...args], { stdio: 'inherit' }).status;
}
