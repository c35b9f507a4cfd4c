// Becomes the operator, after it has gone into a memory cgroup: Node.js takes its heap limit from there when it starts.
import { writeFileSync } from 'node:fs';

const { CONFINED_CGROUP: cgroup = '', CONFINED_MAIN: main = '', ...env } = process.env;
writeFileSync(`${cgroup}/cgroup.procs`, String(process.pid));
process.execve(process.execPath, [process.execPath, main, ...process.argv.slice(2)], env);
