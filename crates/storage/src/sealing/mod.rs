//! How personal data and secrets lie at rest: sealed, hashed, or not at all (I11, I12).
//!
//! The cast, from the top:
//!
//! * [`SealingKey`]: what each of them is made of; seals bytes for exactly one [`Place`].
//!
//! Pure: no database, no clock, nothing async.

mod key;

pub use self::key::{KeyId, OpenError, Place, SEALED_OVERHEAD, SealingKey, sealed_key_id};
