/** metav1.MicroTime: RFC 3339 in UTC with six digits. The API server refuses fewer where it expects a MicroTime. */
export function microTimestamp(date: Date): string {
  return date.toISOString().replace(/Z$/, '000Z');
}
