//! Whether a consent is there to rely on: what a caller asks before acting on it (P34).

use super::decision::{ConsentView, PermissionState};
use crate::ids::Policy;
use crate::original::Reference;

/// What a `consent_hash` that somebody holds out is the hash of, among what one record's decisions said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashFinding {
    /// The decision that the record shows.
    Current,
    /// Another decision of the record: before the one shown, or one that waits for its time.
    Other,
    /// None of them.
    Unknown,
}

/// Whether to rely on a consent, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is granted and in force, and everything else asked is so.
    Valid,
    /// The person has no such record.
    NoConsent,
    /// No decision is in force: its time is over or has not come.
    NotInForce,
    /// The decision in force does not grant.
    NotGranted,
    /// It was granted under another policy version, or none.
    OtherPolicy,
    /// The hash belongs to another decision of the record.
    HashOfAnother,
    /// The hash belongs to no decision of the record.
    HashUnknown,
}

impl Verdict {
    /// The name that answers show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::NoConsent => "no_consent",
            Self::NotInForce => "not_in_force",
            Self::NotGranted => "not_granted",
            Self::OtherPolicy => "other_policy",
            Self::HashOfAnother => "hash_of_another_decision",
            Self::HashUnknown => "hash_unknown",
        }
    }
}

/// Judges a record as it stands at the asked instant. `policy` and `hash` are judged where they were asked for.
pub fn verdict(
    consent: Option<&ConsentView>,
    policy: Option<&Reference<Policy>>,
    hash: Option<HashFinding>,
) -> Verdict {
    let Some(consent) = consent else { return Verdict::NoConsent };
    match consent.state {
        None => return Verdict::NotInForce,
        Some(PermissionState::Granted) => {}
        Some(
            PermissionState::Denied
            | PermissionState::Pending
            | PermissionState::Claimed
            | PermissionState::Objected
            | PermissionState::ObjectionUpheld,
        ) => return Verdict::NotGranted,
    }
    if policy.is_some_and(|asked| consent.policy.as_ref().is_none_or(|own| !asked.names(own))) {
        return Verdict::OtherPolicy;
    }
    match hash {
        None | Some(HashFinding::Current) => Verdict::Valid,
        Some(HashFinding::Other) => Verdict::HashOfAnother,
        Some(HashFinding::Unknown) => Verdict::HashUnknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::consent::{LawfulBasis, Validity};
    use crate::ids::{ConsentId, DecisionId, PolicyId, SubjectId};
    use crate::original::{OriginalId, PublicId};

    fn consent(state: Option<PermissionState>, policy: Option<PolicyId>) -> ConsentView {
        let at = Timestamp::from_millis(0);
        ConsentView {
            id: ConsentId::from_key(1).into(),
            version: 1,
            decision: DecisionId::from_key(1),
            subject: SubjectId::from_key(1),
            reference: "ada".to_owned(),
            email: None,
            purpose: "news".to_owned(),
            policy: policy.map(Into::into),
            basis: LawfulBasis::Consent,
            state,
            consent_hash: String::new(),
            metadata: None,
            ip_address: None,
            obtained_at: at,
            recorded_at: at,
            validity: Validity::default(),
            created_at: at,
            withdrawn_at: None,
        }
    }

    /// P34: only what is granted, in force and as asked is relied on; what fails first is told.
    #[test]
    fn p34_what_can_be_relied_on() {
        use HashFinding::{Current, Other, Unknown};
        use PermissionState::{Denied, Granted, Pending};
        let (one, two) = (Some(PolicyId::from_key(1)), Some(PolicyId::from_key(2)));
        let one_named = one.map(Reference::from);
        assert_eq!(verdict(None, one_named.as_ref(), Some(Current)), Verdict::NoConsent);
        for (state, policy, hash, expected) in [
            (Some(Granted), None, None, Verdict::Valid),
            (Some(Granted), one, Some(Current), Verdict::Valid),
            (Some(Granted), two, Some(Current), Verdict::OtherPolicy),
            (Some(Granted), one, Some(Other), Verdict::HashOfAnother),
            (Some(Granted), None, Some(Unknown), Verdict::HashUnknown),
            (Some(Denied), two, Some(Unknown), Verdict::NotGranted),
            (Some(Pending), None, None, Verdict::NotGranted),
            (None, two, None, Verdict::NotInForce),
        ] {
            let policy = policy.map(Reference::from);
            let found = verdict(Some(&consent(state, one)), policy.as_ref(), hash);
            assert_eq!(found, expected, "{state:?} {policy:?} {hash:?}");
        }
        let without = consent(Some(Granted), None);
        assert_eq!(verdict(Some(&without), one_named.as_ref(), None), Verdict::OtherPolicy);
        let mut brought = consent(Some(Granted), one);
        let original = OriginalId::parse("pol_abc").unwrap();
        brought.policy = one.map(|id| PublicId { id, original: Some(original.clone()) });
        let by_original = Reference::Original(original);
        assert_eq!(verdict(Some(&brought), Some(&by_original), None), Verdict::Valid);
        assert_eq!(verdict(Some(&brought), one_named.as_ref(), None), Verdict::Valid);
        let other = Reference::Original(OriginalId::parse("pol_abd").unwrap());
        assert_eq!(verdict(Some(&brought), Some(&other), None), Verdict::OtherPolicy);
    }
}
