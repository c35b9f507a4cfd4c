const header = `<!-- Generated from src/config/config.ts by \`npm run generate\`. Do not edit. -->

# Flags

\`deploy/deployment.yaml\` passes \`--create-default-authority\` and \`--listen-address=:8080\`. A boolean flag is turned off by \`--no-\` and its
name. If a flag that is not repeatable occurs twice, its last value counts. The operator checks every flag at the start. For a wrong one it prints one
sentence with a valid example, and exits with code 2.
`;

const environment = `## Environment

| Variable | Meaning |
| --- | --- |
| \`POD_NAME\` | The name of this replica in the Lease and in events. Without it: the host name and the process id |
| \`POD_NAMESPACE\` | The operator's namespace, unless \`--namespace\` is given |
| \`KUBECONFIG\` | The kubeconfig, unless \`--kubeconfig\` is given |
| \`HTTPS_PROXY\`, \`HTTP_PROXY\`, \`NO_PROXY\` | The proxy to the API server, read as Go and kubectl read them, CIDR ranges included |
| \`UV_THREADPOOL_SIZE\` | The threads of libuv. Half of them generate RSA keys, at most one per core. The image sets 32 |

## Exit codes

| Code | Meaning |
| --- | --- |
| 0 | The operator was asked to stop (SIGTERM, SIGINT), or \`--help\` |
| 1 | The operator failed, for instance because its port is in use. The last log line has the cause |
| 2 | A flag, a variable, the kubeconfig or the file of \`--authorities-file\` cannot be used. The message is on standard error |
`;

/**
 * The text of docs/reference/flags.md, from the text of --help.
 * @throws if the text has a line that is neither a flag nor the rest of one
 */
export function flagsFile(usage: string): string {
  const rows = flagsIn(usage).map(({ flag, help }) => `| \`${flag}\` | ${help.replaceAll('|', '\\|')} |`);
  return [header, '| Flag | Meaning |', '| --- | --- |', ...rows, '', environment].join('\n');
}

interface Flag {
  /** With its value, such as `--workers N`. */
  readonly flag: string;
  readonly help: string;
}

/** The flags in the text of --help, in its order. */
export function flagsIn(usage: string): readonly Flag[] {
  const [, ...lines] = usage
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '');
  const flags: { flag: string; help: string }[] = [];
  for (const line of lines) {
    const [, flag, help = ''] = /^ {2}(--[\w-]+(?: [A-Z:]+)?)(?: {2,}(.*))?$/.exec(line) ?? [];
    const last = flags.at(-1);
    if (flag !== undefined) flags.push({ flag, help });
    else if (last !== undefined && /^ {10}/.test(line)) last.help = `${last.help} ${line.trim()}`.trim();
    else throw new Error(`this line of --help is no flag: ${line}`);
  }
  return flags;
}
