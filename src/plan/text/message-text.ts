/** A handful of items and how many more there are: messages go into conditions, which people read. */
export const joinShortened = (items: readonly string[], separator = ', '): string =>
  items.length <= 5 ? items.join(separator) : `${items.slice(0, 5).join(separator)} and ${items.length - 5} more`;

/** The beginning of a text that others have written: a condition takes no more than 32768 characters. */
export const truncate = (text: string, length = 256): string =>
  text.length <= length ? text : `${text.slice(0, length)}…`;
