//! Blind indexes: finding a person by an identifier that is stored only sealed.
//!
//! 16 bytes of HMAC-SHA256 under the organization's index key. Without the key they cannot be
//! tried against a list of addresses, and the same person has unrelated indexes in two
//! organizations. Within one, equal identifiers have equal indexes: that is their purpose and their
//! price. Two identifiers of an organization with a billion of them collide with a chance of 10^-21.

use std::fmt;

use aws_lc_rs::hmac;

/// Stands for an identifier in an index. Erased with its person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlindIndex(pub [u8; 16]);

/// An organization's key for blind indexes. Never rotated with the master key: every index would
/// change.
pub struct IndexKey {
    key: hmac::Key,
}

impl IndexKey {
    /// Prepares a key. The caller wipes its copy of the bytes.
    pub fn new(bytes: &[u8; 32]) -> IndexKey {
        IndexKey { key: hmac::Key::new(hmac::HMAC_SHA256, bytes) }
    }

    /// The index of one identifier: of its kind ("email", "phone", "reference" ...) and its value.
    ///
    /// Byte-exact. E-mail addresses go through [`normalise_email`] first, when stored and when
    /// looked up; external references and custom identifiers are the caller's names for people and
    /// are taken as they are.
    pub fn blind(&self, kind: &str, value: &str) -> BlindIndex {
        let mut context = hmac::Context::with_key(&self.key);
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        context.update(&(kind.len() as u64).to_be_bytes());
        context.update(kind.as_bytes());
        context.update(value.as_bytes());
        BlindIndex(*context.sign().as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

/// The form of an e-mail address that people are looked up by: without surrounding white space, in
/// lower case.
///
/// The part before the `@` may in theory tell upper from lower case; no mail provider of note does,
/// and people type their address as they like. Nothing more is folded: dots and `+tags` differ in
/// meaning from provider to provider, and taking two people for one is worse than one for two.
pub fn normalise_email(address: &str) -> String {
    address.trim().to_lowercase()
}

impl fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It stands for a person and stays out of logs (I11).
        f.write_str("BlindIndex(..)")
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Stored for years, so the bytes must not change: HMAC-SHA256 over the kind's length as eight
    /// bytes, the kind, the value.
    #[test]
    fn the_index_is_as_documented() {
        let BlindIndex(bytes) = IndexKey::new(&[0x42; 32]).blind("email", "ada@example.org");
        assert_eq!(u128::from_be_bytes(bytes), 0xd639_7f12_5ef1_18f1_2642_3706_ebe3_8878);
    }

    #[test]
    fn kind_and_value_do_not_run_together() {
        let key = IndexKey::new(&[1; 32]);
        assert_ne!(key.blind("ab", "c"), key.blind("a", "bc"));
        assert_ne!(key.blind("", "abc"), key.blind("abc", ""));
    }

    proptest! {
        /// I11: an index depends on organization, kind and value, and on nothing else.
        #[test]
        fn equal_for_equal_and_for_nothing_else(
            kind in "[a-z]{0,6}", value in ".{0,20}", other in ".{0,20}",
        ) {
            let (key, elsewhere) = (IndexKey::new(&[1; 32]), IndexKey::new(&[2; 32]));
            let index = key.blind(&kind, &value);
            prop_assert_eq!(IndexKey::new(&[1; 32]).blind(&kind, &value), index);
            prop_assert_ne!(elsewhere.blind(&kind, &value), index);
            prop_assert_ne!(key.blind(&format!("{kind}s"), &value), index);
            prop_assert_eq!(key.blind(&kind, &other) == index, other == value);
        }

        #[test]
        fn a_normal_address_is_normal_already(address in ".{0,20}") {
            let normal = normalise_email(&address);
            prop_assert_eq!(normalise_email(&normal), normal);
        }
    }

    #[test]
    fn addresses_are_folded_and_references_are_not() {
        for (typed, normal) in [
            (" Ada@Example.ORG\n", "ada@example.org"),
            ("ÄDA@example.org", "äda@example.org"),
            ("a.da+news@example.org", "a.da+news@example.org"),
            ("", ""),
        ] {
            assert_eq!(normalise_email(typed), normal, "{typed:?}");
        }
        let key = IndexKey::new(&[1; 32]);
        assert_ne!(key.blind("reference", "Ada"), key.blind("reference", "ada"));
        assert_ne!(key.blind("reference", "ada "), key.blind("reference", "ada"));
    }

    /// I11: neither the key nor what stands for a person shows in a log line.
    #[test]
    fn debug_shows_nothing() {
        let key = IndexKey::new(&[1; 32]);
        let shown = format!("{key:?} {:?}", key.blind("email", "ada@example.org"));
        assert_eq!(shown, "IndexKey(..) BlindIndex(..)");
    }
}
