//! How personal data and secrets lie at rest: sealed, hashed, or not at all (I11, I12).
//!
//! The cast, from the top:
//!
//! * [`MasterKeys`]: the key file beside the data folder. It seals organization keys, nothing else.
//! * [`OrganizationKeys`]: one data key and one index key per organization, kept wrapped in its row.
//! * [`SubjectKey`]: one per person. Destroying its wrapped bytes is what erasing a person means.
//! * [`SealingKey`]: what each of them is made of; seals bytes for exactly one [`Place`].
//! * [`IndexKey`] and [`BlindIndex`]: finding a person by an identifier that is not stored in the clear.
//! * [`Secret`] and [`SecretHash`]: API secrets, shown once, kept as a hash.
//!
//! Pure but for the key file: no database, no clock, nothing async. Functions that mint a key take
//! their chance as an argument; only nonces are drawn inside (see [`SealingKey::seal`]).

mod blind;
mod hierarchy;
mod key;
mod key_file;
mod master;
mod secret;
mod shares;

pub use self::{
    blind::{BlindIndex, IndexKey, normalise_email},
    hierarchy::{BlobKey, OrganizationKeys, SubjectKey, UnwrapError, WrappedOrganizationKeys},
    key::{ChunkPlace, End, KeyId, OpenError, Place, SEALED_OVERHEAD, SealingKey, sealed_key_id},
    key_file::KeyFileError,
    master::{LineFault, MasterId, MasterKey, MasterKeys, ParseError},
    secret::{Secret, SecretHash},
    shares::{KeyShare, key_of_shares},
};

use zeroize::Zeroizing;

/// Where random bytes come from: fills the whole slice. In production the system's generator, in a
/// simulation a seeded one.
pub type Chance<'a> = &'a mut dyn FnMut(&mut [u8]);

/// A key as bytes, wiped when dropped.
type KeyBytes = Zeroizing<[u8; 32]>;

fn draw_key(chance: Chance<'_>) -> KeyBytes {
    let mut key = Zeroizing::new([0; 32]);
    chance(&mut key[..]);
    key
}

#[cfg(test)]
mod testing {
    /// Chance for tests: every byte drawn differs from its neighbours, every draw from the last,
    /// and two seeds never give the same key.
    pub(super) fn counting(seed: u8) -> impl FnMut(&mut [u8]) {
        let mut draws = 0_u8;
        move |bytes| {
            draws += 1;
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = (at as u8).wrapping_mul(7) ^ draws;
            }
            bytes[0] = seed;
        }
    }
}
