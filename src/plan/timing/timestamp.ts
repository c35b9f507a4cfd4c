/** RFC 3339 in whole seconds, as metav1.Time. */
export const timestamp = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;
