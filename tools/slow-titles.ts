/** A reason as the title of a slow test, or of its suite, has it. */
export const EXAMPLE = '"(30 s: the operator waits for its own time-out)"';

/** Whether a title says how long its test takes, and why. */
export const saysWhySlow = (title: string): boolean => /\(\d+ (s|min)( to \d+ (s|min))?: [^)]+\)/.test(title);
