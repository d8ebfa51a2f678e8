//! Ids: inside, a time-ordered 63-bit key; outside, a prefix and the 26 characters of a UUIDv7.
//!
//! The two are spellings of each other, so finding a row by its public id needs no index of its own. A key holds
//! the millisecond (42 bits) and a sequence within it (21 bits). The UUID repeats both and fills the rest with
//! check bits made of key and kind: a mistyped id, or one whose prefix was exchanged, does not parse. The check
//! bits keep nobody out; that every question takes the organization does (I13).
//!
//! The text form is that of the TypeID specification: prefix, `_`, UUID in lower-case Crockford base 32.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// What an [`Id`] names.
pub trait Kind: 'static {
    /// The public prefix, without the underscore.
    const PREFIX: &'static str;
    /// The word for an error text: `endpoint`, `policy`.
    const NAME: &'static str;
}

/// The id of one `K`: copied freely, ordered by creation.
pub struct Id<K> {
    key: i64,
    kind: PhantomData<fn() -> K>,
}

/// A text is no id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdProblem {
    /// The prefix belongs to another kind, or there is none.
    #[error("is not {wanted} id: those begin with `{prefix}_`")]
    Prefix {
        /// The wanted kind, with its article.
        wanted: &'static str,
        /// The prefix of that kind.
        prefix: &'static str,
    },
    /// The rest is not 26 characters of the alphabet with the right check bits.
    #[error("is not {wanted} id: it is mistyped or cut short")]
    Damaged {
        /// The wanted kind, with its article.
        wanted: &'static str,
    },
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $alias:ident, $prefix:literal, $name:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $name;
        }
        $(#[$doc])*
        pub type $alias = Id<$kind>;
    )*
    /// Every prefix in use, for the test that they are unique.
    #[cfg(test)]
    const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

kinds! {
    /// An entry of the audit log.
    AuditEntry, AuditEntryId, "aud", "an audit entry";
    /// A batch of decisions taken in one call.
    Batch, BatchId, "bat", "a batch";
    /// Bytes too large for a row.
    Blob, BlobId, "blb", "a blob";
    /// The consent record of one (subject, purpose).
    Consent, ConsentId, "con", "a consent";
    /// One immutable entry of the consent ledger.
    Decision, DecisionId, "dec", "a decision";
    /// One event on its way to one endpoint.
    Delivery, DeliveryId, "dlv", "a delivery";
    /// Where events are told: a webhook, a subscription, a preflight's URL.
    Endpoint, EndpointId, "whk", "a webhook";
    /// An immutable fact that something happened.
    Event, EventId, "evt", "an event";
    /// Work over many deliveries that somebody asked for.
    Job, JobId, "job", "a job";
    /// An API key.
    Key, KeyId, "key", "a key";
    /// The right of a node to work on deliveries.
    Lease, LeaseId, "lea", "a lease";
    /// A tenant.
    Organization, OrganizationId, "org", "an organization";
    /// One version of a policy.
    Policy, PolicyId, "pol", "a policy";
    /// What consent is about.
    Purpose, PurposeId, "pur", "a purpose";
    /// Somebody signed in, in one browser.
    Session, SessionId, "ses", "a session";
    /// One person.
    Subject, SubjectId, "sub", "a subject";
    /// Somebody who signs in to the dashboard.
    User, UserId, "usr", "a user";
}

/// Bits of a key that count within one millisecond.
pub const SEQUENCE_BITS: u32 = 21;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl<K: Kind> Id<K> {
    /// The id of a stored key.
    pub fn from_key(key: i64) -> Self {
        Self { key, kind: PhantomData }
    }

    /// The key under which the row is stored.
    pub fn key(self) -> i64 {
        self.key
    }

    /// When the id was drawn, to the millisecond.
    pub fn drawn_at(self) -> Timestamp {
        Timestamp::from_millis(self.key >> SEQUENCE_BITS)
    }

    /// The same 128 bits as a UUIDv7, for contracts that show one.
    pub fn to_uuid_bits(self) -> u128 {
        let key = self.key as u64;
        let millis = u128::from(key >> SEQUENCE_BITS);
        let sequence = key & ((1 << SEQUENCE_BITS) - 1);
        let check = mix(key, K::PREFIX) & ((1 << 53) - 1);
        (millis << 80)
            | (0x7 << 76)
            | (u128::from(sequence >> 9) << 64)
            | (0b10 << 62)
            | (u128::from(sequence & 0x1ff) << 53)
            | u128::from(check)
    }

    fn from_uuid_bits(bits: u128) -> Option<Self> {
        let millis = (bits >> 80) as u64;
        let sequence = (((bits >> 64) as u64 & 0xfff) << 9) | ((bits >> 53) as u64 & 0x1ff);
        let key =
            i64::try_from((u128::from(millis) << SEQUENCE_BITS) | u128::from(sequence)).ok()?;
        let id = Self::from_key(key);
        (id.to_uuid_bits() == bits).then_some(id)
    }

    /// The 26 characters without the prefix.
    pub fn to_base32(self) -> String {
        self.digits().iter().map(|digit| *digit as char).collect()
    }

    fn digits(self) -> [u8; 26] {
        let mut bits = self.to_uuid_bits();
        let mut digits = [0; 26];
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[bits as usize & 31];
            bits >>= 5;
        }
        digits
    }

    /// Reads the 26 characters without the prefix.
    pub fn from_base32(text: &str) -> Option<Self> {
        if text.len() != 26 {
            return None;
        }
        let mut bits: u128 = 0;
        for (place, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|known| *known == byte)?;
            if place == 0 && digit > 7 {
                return None;
            }
            bits = (bits << 5) | digit as u128;
        }
        Self::from_uuid_bits(bits)
    }

    /// Reads prefix and characters; says when the prefix is another kind's.
    pub fn parse(text: &str) -> Result<Self, IdProblem> {
        let rest = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or(IdProblem::Prefix { wanted: K::NAME, prefix: K::PREFIX })?;
        Self::from_base32(rest).ok_or(IdProblem::Damaged { wanted: K::NAME })
    }
}

/// Check bits: a mixing of key and prefix (the finaliser of SplitMix64), not a secret.
fn mix(key: u64, prefix: &str) -> u64 {
    let salt = prefix.bytes().fold(0u64, |salt, byte| (salt << 8) | u64::from(byte));
    let mut bits = key ^ salt.rotate_left(40) ^ 0x9e37_79b9_7f4a_7c15;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids are written several times in each event, so without a buffer on the heap or a format to read.
        let digits = self.digits();
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}
impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefixes_are_unique_and_short() {
        let mut seen = std::collections::HashSet::new();
        for prefix in PREFIXES {
            assert!(seen.insert(prefix), "{prefix} twice");
            assert_eq!(prefix.len(), 3, "{prefix}");
        }
    }

    #[test]
    fn a_wrong_prefix_is_named() {
        let event = EventId::from_key(42);
        let problem = EndpointId::parse(&event.to_string()).unwrap_err();
        assert_eq!(problem.to_string(), "is not a webhook id: those begin with `whk_`");
        let exchanged = event.to_string().replace("evt_", "whk_");
        assert_eq!(EndpointId::parse(&exchanged), Err(IdProblem::Damaged { wanted: "a webhook" }));
    }

    #[test]
    fn the_bits_are_a_uuid_of_version_seven() {
        let bits = EventId::from_key(1_705_314_600_123 << SEQUENCE_BITS | 77).to_uuid_bits();
        assert_eq!(bits >> 76 & 0xf, 7);
        assert_eq!(bits >> 62 & 0b11, 0b10);
        assert_eq!(bits >> 80, 1_705_314_600_123);
    }

    /// I14: an id says when it was drawn and which one it was in that millisecond; the rest is check bits of those
    /// two and the prefix. Nothing else can be in it.
    #[test]
    fn i14_an_id_holds_a_time_and_a_count_and_nothing_else() {
        let bits =
            SubjectId::from_key((1_705_314_600_123 << SEQUENCE_BITS) | 0x1f_f0f0).to_uuid_bits();
        let (millis, high, low) = (bits >> 80, bits >> 64 & 0xfff, bits >> 53 & 0x1ff);
        assert_eq!((millis, high << 9 | low), (1_705_314_600_123, 0x1f_f0f0));
        let check = bits & ((1 << 53) - 1);
        let again = u128::from(mix((1_705_314_600_123 << SEQUENCE_BITS) | 0x1f_f0f0, "sub"));
        assert_eq!(check, again & ((1 << 53) - 1));
        assert_eq!(
            bits,
            millis << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low << 53 | check,
            "every bit is accounted for"
        );
    }

    proptest! {
        #[test]
        fn ids_round_trip_and_keep_their_order(a in 0..i64::MAX, b in 0..i64::MAX) {
            let (one, two) = (DeliveryId::from_key(a), DeliveryId::from_key(b));
            prop_assert_eq!(DeliveryId::parse(&one.to_string()).unwrap(), one);
            prop_assert_eq!(a.cmp(&b), one.to_string().cmp(&two.to_string()));
        }

        #[test]
        fn one_wrong_character_is_noticed(key in 0..i64::MAX, place in 4usize..30, other in 0usize..32) {
            let mut text = EventId::from_key(key).to_string().into_bytes();
            prop_assume!(text[place] != ALPHABET[other]);
            text[place] = ALPHABET[other];
            prop_assert!(EventId::parse(std::str::from_utf8(&text).unwrap()).is_err());
        }
    }
}
