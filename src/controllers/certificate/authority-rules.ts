import { type AuthorityRecord, type AuthorityRules, issuancePolicy } from '../../plan/index.ts';

/**
 * Reads what authorities say of the names they sign, once for every version of a spec that is cached. It does not go
 * through the verdict on the root: what is no longer allowed must not wait until the root can be read or written.
 */
export function rulesReader(): (authority: AuthorityRecord) => AuthorityRules {
  const known = new WeakMap<AuthorityRecord['spec'], AuthorityRules>();
  return ({ spec }) => {
    const rules = known.get(spec) ?? { ...domainsOf(spec), issuance: issuancePolicy(spec.issuance) };
    known.set(spec, rules);
    return rules;
  };
}

const domainsOf = ({ trustDomain, clusterDomain }: AuthorityRecord['spec']) => ({ trustDomain, clusterDomain });
