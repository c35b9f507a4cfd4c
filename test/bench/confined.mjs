// Joins a memory cgroup and then executes the operator, because Node.js reads its heap limit from the cgroup when it starts.
import { writeFileSync } from 'node:fs';

const { CONFINED_CGROUP: cgroup = '', CONFINED_MAIN: main = '', ...env } = process.env;
writeFileSync(`${cgroup}/cgroup.procs`, String(process.pid));
process.execve(process.execPath, [process.execPath, main, ...process.argv.slice(2)], env);
