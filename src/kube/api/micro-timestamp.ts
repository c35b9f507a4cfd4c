/** metav1.MicroTime: RFC 3339 in UTC with six fractional digits. The API server refuses a MicroTime with fewer digits. */
export function microTimestamp(date: Date): string {
  return date.toISOString().replace(/Z$/, '000Z');
}
