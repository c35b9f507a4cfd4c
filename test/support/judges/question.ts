/** The usage to check. No certificate of the operator may be valid for e-mail. */
export type Usage = 'server' | 'client' | 'email';

/** A name to check, in the syntax of the judges' programs. */
export type Name = `dns:${string}` | `ip:${string}` | `email:${string}`;

/** A question about the files of a Secret in a folder. */
export interface Question {
  readonly id: number;
  /**
   * verify: is the certificate valid for usage, name and time, if the roots in `trust` are trusted? key: can tls.key be
   * read, and does it belong to the certificate? lint: does the certificate follow the rules of its format?
   */
  readonly kind: 'verify' | 'key' | 'lint';
  readonly folder: string;
  /** Path of a PEM file. */
  readonly trust: string;
  readonly usage: Usage;
  /** Any name, if absent. */
  readonly name?: Name;
  /** Now, if absent. */
  readonly at?: Date;
}

export interface Verdict {
  readonly accepted: boolean;
  /** Why the judge refuses; for a linter that accepts, its remarks. A linter's findings are separated by semicolons. */
  readonly words: string;
}

/** An independent program, and the questions that it can answer. */
export interface Judge {
  readonly name: string;
  /** Null, or a sentence that says what to install. */
  missing(): string | null;
  /** Why the judge cannot answer a question. Undefined if it can. */
  cannotSay(question: Question): string | undefined;
  /** Answers all questions together, because some judges start slowly. Throws if an answer is missing. */
  judge(questions: readonly Question[]): Promise<ReadonlyMap<number, Verdict>>;
}
