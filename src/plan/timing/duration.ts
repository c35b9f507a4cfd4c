const unitMs: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/**
 * Parses a Go duration of hours, minutes, seconds and milliseconds (`2160h`, `1h30m`), as every duration in the API,
 * into milliseconds. Undefined when the text is not a duration.
 */
export function parseDurationMs(text: string): number | undefined {
  const part = /(\d+(?:\.\d+)?)(h|ms|m|s)/y;
  let sum = 0;
  do {
    const [, amount, unit = ''] = part.exec(text) ?? [];
    if (amount === undefined) return undefined;
    sum += Number(amount) * (unitMs[unit] ?? Number.NaN);
  } while (part.lastIndex < text.length);
  return Number.isFinite(sum) ? Math.round(sum) : undefined;
}
