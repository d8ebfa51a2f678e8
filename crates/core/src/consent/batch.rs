//! How a batch becomes events: each small enough for the receivers that stand in the field.
//!
//! The split is made when the batch is recorded, before any dialect has rendered it: the event and its id are the same
//! for every endpoint. So it goes by an upper estimate that holds in each dialect: every text of a consent as JSON,
//! whether the dialect shows it or not, and a fixed allowance for keys, ids, times and punctuation. A property test
//! beside the dialects renders batches and holds them to the limit.

use std::io;
use std::ops::Range;

use serde::Serialize;

use super::ConsentView;

/// Largest event that a batch is split into, in rendered bytes: receivers written after ConsentProof's example refuse
/// bodies above 100 kB (P16).
pub const BATCH_EVENT_LIMIT: usize = 90_000;

/// What a dialect writes around the texts of one consent: keys, ids, times, punctuation, and null for what is absent.
const AROUND_A_CONSENT: usize = 400;
/// What it writes for one of the ids and times that may be absent.
const PRESENT: usize = 32;
/// What a dialect writes around the consents of one event.
const AROUND_AN_EVENT: usize = 512;

/// Cuts a batch into the shares of its events, in order and without gaps; none is rendered above `limit` bytes. A
/// consent that alone is larger stands alone: it is told late rather than never.
pub fn split_batch(consents: &[ConsentView], limit: usize) -> Vec<Range<usize>> {
    let mut shares = Vec::new();
    let mut start = 0;
    let mut size = AROUND_AN_EVENT;
    for (place, consent) in consents.iter().enumerate() {
        let more = rendered_at_most(consent);
        if place > start && size + more > limit {
            shares.push(start..place);
            start = place;
            size = AROUND_AN_EVENT;
        }
        size += more;
    }
    if start < consents.len() {
        shares.push(start..consents.len());
    }
    shares
}

/// An upper bound of what one consent takes in an event, in bytes.
fn rendered_at_most(consent: &ConsentView) -> usize {
    let ConsentView { id, policy, validity, withdrawn_at, .. } = consent;
    let originals = [id.original.as_ref(), policy.as_ref().and_then(|id| id.original.as_ref())];
    let times = [validity.from, validity.until, *withdrawn_at];
    AROUND_A_CONSENT
        + usize::from(policy.is_some()) * PRESENT
        + times.iter().flatten().count() * PRESENT
        + originals.into_iter().flatten().map(json_length).sum::<usize>()
        + json_length(&consent.reference)
        + json_length(&consent.email)
        + json_length(&consent.purpose)
        + json_length(&consent.consent_hash)
        + json_length(&consent.metadata)
        + json_length(&consent.ip_address)
}

/// How long a value is as JSON, escapes included: counted by the serialiser itself, so that both always agree.
fn json_length(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A text or a checked object; neither fails to serialise, and the count takes everything.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX / 16, |()| count.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::consent::{LawfulBasis, PermissionState, Validity};
    use crate::ids::{ConsentId, DecisionId, SubjectId};
    use crate::json::JsonObject;

    fn consent(reference: &str) -> ConsentView {
        let at = Timestamp::from_millis(1_705_314_900_000);
        ConsentView {
            id: ConsentId::from_key(1).into(),
            version: 1,
            decision: DecisionId::from_key(2),
            subject: SubjectId::from_key(3),
            reference: reference.to_owned(),
            email: None,
            purpose: "marketing".to_owned(),
            policy: None,
            basis: LawfulBasis::Consent,
            state: Some(PermissionState::Granted),
            consent_hash: "sha256:00".to_owned(),
            metadata: None,
            ip_address: None,
            obtained_at: at,
            recorded_at: at,
            validity: Validity::default(),
            created_at: at,
            withdrawn_at: None,
        }
    }

    /// P16: what fits stays together, and a large batch is cut where the next consent would pass the limit.
    #[test]
    fn p16_a_batch_is_cut_at_the_limit() {
        let one = rendered_at_most(&consent("user_1"));
        let batch: Vec<_> = (0..5).map(|n| consent(&format!("user_{n}"))).collect();
        assert_eq!(split_batch(&batch, AROUND_AN_EVENT + 5 * one), vec![0..batch.len()]);
        assert_eq!(split_batch(&batch, AROUND_AN_EVENT + 5 * one - 1), [0..4, 4..5]);
        assert_eq!(split_batch(&batch, AROUND_AN_EVENT + 2 * one), [0..2, 2..4, 4..5]);
        assert_eq!(split_batch(&[], BATCH_EVENT_LIMIT), Vec::<Range<usize>>::new());
    }

    /// P16: nothing is left out, also where a consent is larger than the limit.
    #[test]
    fn p16_what_is_too_large_stands_alone() {
        let mut large = consent("user_1");
        large.metadata = JsonObject::parse(&format!(r#"{{"note":"{}"}}"#, "x".repeat(16_000)));
        let batch = [consent("user_0"), large, consent("user_2"), consent("user_3")];
        assert_eq!(split_batch(&batch, 4_000), [0..1, 1..2, 2..4]);
    }

    /// P16: an escape counts for what it is on the wire.
    #[test]
    fn p16_escapes_are_counted() {
        let plain = rendered_at_most(&consent("abcd"));
        assert_eq!(rendered_at_most(&consent("\u{1}\"\n😀")), plain - 4 + 6 + 2 + 2 + 4);
    }
}
