import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';

/** An invalid setting. The message is one sentence that names the flag or variable and what to use instead. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Checks that every argument is one of these flags, with a value if the flag has one. If a flag occurs twice, its last value
 * counts.
 * @throws ConfigError
 */
export function checkArguments(args: readonly string[], options: ParseArgsOptionsConfig): void {
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowNegative: true,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === 'positional')
      throw new ConfigError(
        `${JSON.stringify(token.value)} is not a flag; the operator has only flags, such as --workers=32`,
      );
    if (token.kind === 'option') checkOption(token, options);
  }
}

interface OptionToken {
  readonly name: string;
  /** As on the command line: `--name` or `--no-name`. */
  readonly rawName: string;
  readonly value?: string | undefined;
  /** Whether the value follows a `=`. */
  readonly inlineValue?: boolean | undefined;
}

function checkOption({ name, rawName, value, inlineValue }: OptionToken, options: ParseArgsOptionsConfig): void {
  const type = Object.hasOwn(options, name) ? options[name]?.type : undefined;
  const isNegated = rawName === `--no-${name}`;
  if (type === undefined || (rawName !== `--${name}` && !isNegated) || (isNegated && type === 'string'))
    throw new ConfigError(`${JSON.stringify(rawName)} is not a flag of the operator; --help lists the flags`);
  if (type === 'boolean' && value !== undefined)
    throw new ConfigError(`${rawName} has no value; use --${name} or --no-${name}`);
  // `--workers --log-level=debug` lacks a value. A value that begins with a dash has to follow a `=`.
  if (type === 'string' && (value === undefined || (inlineValue !== true && value.startsWith('-'))))
    throw new ConfigError(`--${name} needs a value; use --${name}=VALUE`);
}
