/** What a certificate is to be used for. E-mail is what none of ours may be used for. */
export type Usage = 'server' | 'client' | 'email';

/** A name that a certificate is to have, as the judges' programs read it. */
export type Name = `dns:${string}` | `ip:${string}` | `email:${string}`;

/** What a judge is asked: about the files of a Secret in a folder. */
export interface Question {
  readonly id: number;
  /**
   * verify: whether the certificate is good, for usage, name and moment, to who trusts the roots in `trust`. key: whether
   * tls.key can be read and belongs to it. lint: whether it keeps to the rules of its format.
   */
  readonly kind: 'verify' | 'key' | 'lint';
  readonly folder: string;
  /** Path of a PEM file. */
  readonly trust: string;
  readonly usage: Usage;
  /** Absent, any. */
  readonly name?: Name;
  /** Absent, now. */
  readonly at?: Date;
}

export interface Verdict {
  readonly accepted: boolean;
  /** Why not; of a linter that accepts, what it remarks all the same. A linter's findings stand between semicolons. */
  readonly words: string;
}

/** A program that nobody here wrote, and what it can be asked. */
export interface Judge {
  readonly name: string;
  /** Null, or a sentence that says what to install. */
  missing(): string | null;
  /** Why it cannot be asked that; undefined when it can. */
  cannotSay(question: Question): string | undefined;
  /** All questions at once, since some take long to start. Throws when it fails to answer one of them. */
  judge(questions: readonly Question[]): Promise<ReadonlyMap<number, Verdict>>;
}
