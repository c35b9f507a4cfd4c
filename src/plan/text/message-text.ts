/** The first five items and the number of further ones: users read these messages in conditions. */
export const joinShortened = (items: readonly string[], separator = ', '): string =>
  items.length <= 5 ? items.join(separator) : `${items.slice(0, 5).join(separator)} and ${items.length - 5} more`;

/** The start of a text from another client. A condition's message has at most 32768 characters. */
export const truncate = (text: string, length = 256): string =>
  text.length <= length ? text : `${text.slice(0, length)}…`;
