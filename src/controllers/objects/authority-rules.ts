import { type AuthorityRecord, type AuthorityRules, issuancePolicy } from '../../plan/index.ts';

/**
 * Reads the rules of authorities about names, once for each cached version of a spec. The rules come from spec and not from the
 * verdict on the root: a withdrawn grant must take effect even while the root cannot be read or written.
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
