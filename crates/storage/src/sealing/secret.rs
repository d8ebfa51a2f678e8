//! API secrets: drawn by Abide, shown once, kept as a hash.
//!
//! The hash is one round of SHA-256, without salt. Slow, salted hashes protect what people choose,
//! because that can be guessed; 32 random bytes cannot, at any speed, and every API call pays for
//! the hash. Passwords are not for this module.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use zeroize::Zeroizing;

/// A secret in the clear: just drawn, or just received. Wiped when dropped, never printed.
pub struct Secret(Zeroizing<String>);

/// What is kept of a secret.
///
/// No `PartialEq`: [`matches`](SecretHash::matches) takes the same time wherever two hashes differ.
#[derive(Clone, Copy)]
pub struct SecretHash(pub [u8; 32]);

impl Secret {
    /// Makes a secret out of 32 random bytes: the prefix, then 43 characters that need no escaping
    /// in headers and URLs. The prefix says what leaked when one turns up somewhere.
    pub fn mint(prefix: &str, random: &[u8; 32]) -> Secret {
        let mut encoded = Zeroizing::new([0; 43]);
        BASE64_URL_SAFE_NO_PAD.encode_slice(random, &mut encoded[..]).expect("32 bytes make 43");
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + encoded.len()));
        text.push_str(prefix);
        text.push_str(str::from_utf8(&encoded[..]).expect("base64 is ASCII"));
        Secret(text)
    }

    /// The text, for the one place that shows or sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text, still wiped when dropped, for whoever must keep it open.
    pub fn into_inner(self) -> Zeroizing<String> {
        self.0
    }

    /// What to keep of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl From<String> for Secret {
    /// A secret as received.
    fn from(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }
}

impl SecretHash {
    /// Whether the text presented is the secret. Takes the same time for every wrong one of its
    /// length.
    pub fn matches(&self, presented: &str) -> bool {
        verify_slices_are_equal(&self.0, &SecretHash::of(presented).0).is_ok()
    }

    fn of(text: &str) -> SecretHash {
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        SecretHash(*digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_is_its_prefix_and_all_32_bytes() {
        let secret = Secret::mint("abt_", &[0xff; 32]);
        assert_eq!(secret.reveal(), "abt___________________________________________8");
        assert_eq!(secret.0.capacity(), secret.0.len(), "the buffer grew, leaving a copy behind");
    }

    /// Stored for years: plain SHA-256 of the whole text.
    #[test]
    fn the_hash_is_as_documented() {
        let SecretHash(bytes) = Secret::from("abc".to_owned()).hash();
        assert_eq!(bytes[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(bytes[28..], [0xf2, 0x00, 0x15, 0xad]);
    }

    proptest! {
        /// I12: the hash admits the secret and nothing near it, and does not hold it.
        #[test]
        fn a_hash_admits_its_secret_alone(random: [u8; 32], at in 0_usize..32, bit in 0_u8..8) {
            let secret = Secret::mint("", &random);
            let hash = secret.hash();
            prop_assert!(hash.matches(secret.reveal()));
            let mut other = random;
            other[at] ^= 1 << bit;
            prop_assert!(!hash.matches(Secret::mint("", &other).reveal()));
            prop_assert!(!hash.matches(Secret::mint("abt_", &random).reveal()));
            prop_assert!(!hash.matches(&secret.reveal()[..42]));
            prop_assert!(!hash.matches(""));
            prop_assert_ne!(hash.0, random);
        }
    }

    /// I12: a secret in a log line shows nothing.
    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::mint("abt_", &[7; 32]);
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "Secret(..) SecretHash(..)");
    }
}
