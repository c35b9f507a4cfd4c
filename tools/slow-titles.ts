/** A reason in the form that the title of a slow test or of its suite must contain. */
export const EXAMPLE = '"(30 s: the operator waits for its own time-out)"';

/** Whether a title says how long its test takes and why. */
export const saysWhySlow = (title: string): boolean => /\(\d+ (s|min)( to \d+ (s|min))?: [^)]+\)/.test(title);
