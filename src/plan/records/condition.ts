/** A condition before it is merged with what is there: the time of the transition is the merge's business. */
export interface WantedCondition {
  readonly type: 'Ready' | 'Issuing' | 'Rotating' | 'TrustPublished' | 'IssuerKeyMissing' | 'CrlNearlyFull';
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}
