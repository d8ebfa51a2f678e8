//! Whether a consent is there to rely on: what a caller asks before acting on it (P34).

use super::decision::{ConsentView, PermissionState};
use crate::ids::PolicyId;

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
    policy: Option<PolicyId>,
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
    if policy.is_some() && policy != consent.policy {
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
    use crate::ids::{ConsentId, DecisionId, SubjectId};

    fn consent(state: Option<PermissionState>, policy: Option<PolicyId>) -> ConsentView {
        let at = Timestamp::from_millis(0);
        ConsentView {
            id: ConsentId::from_key(1),
            version: 1,
            decision: DecisionId::from_key(1),
            subject: SubjectId::from_key(1),
            reference: "ada".to_owned(),
            email: None,
            purpose: "news".to_owned(),
            policy,
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
        assert_eq!(verdict(None, one, Some(Current)), Verdict::NoConsent);
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
            let found = verdict(Some(&consent(state, one)), policy, hash);
            assert_eq!(found, expected, "{state:?} {policy:?} {hash:?}");
        }
        let without = consent(Some(Granted), None);
        assert_eq!(verdict(Some(&without), one, None), Verdict::OtherPolicy);
    }
}
