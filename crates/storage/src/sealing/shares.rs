//! Keys of which several people hold a share each: what is sealed under such a key opens only with the shares of all.
//!
//! It is for texts about several people at once, where each must be able to take the text with them when they are erased.

use std::fmt;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::{Chance, KeyBytes, KeyId, OpenError, Place, SealingKey, SubjectKey, draw_key};

/// One share: 32 bytes of chance, wiped when dropped.
pub struct KeyShare(KeyBytes);

impl KeyShare {
    /// Draws a share.
    pub fn draw(chance: Chance<'_>) -> KeyShare {
        KeyShare(draw_key(chance))
    }

    /// Seals it for its holder.
    pub fn seal(&self, holder: &SubjectKey, place: &Place) -> Vec<u8> {
        holder.seal(place, &self.0[..])
    }

    /// Opens a holder's share.
    pub fn open(holder: &SubjectKey, place: &Place, sealed: &[u8]) -> Result<KeyShare, OpenError> {
        let opened = Zeroizing::new(holder.open(place, sealed)?);
        let bytes: &[u8; 32] = opened.as_slice().try_into().map_err(|_| OpenError::Damaged)?;
        Ok(KeyShare(Zeroizing::new(*bytes)))
    }
}

/// The key that these shares make, in this order: SHA-256 over all of them. Without one of them the rest say nothing of it.
pub fn key_of_shares<'a>(id: KeyId, shares: impl IntoIterator<Item = &'a KeyShare>) -> SealingKey {
    let mut context = digest::Context::new(&digest::SHA256);
    for share in shares {
        context.update(&share.0[..]);
    }
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(context.finish().as_ref());
    SealingKey::new(id, &key)
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyShare(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::counting;
    use super::*;

    const PLACE: Place = Place { table: "idempotency", column: "answer", row: 7 };

    /// I11: every share is needed, each in its place; and none shows itself.
    #[test]
    fn i11_a_text_opens_with_all_shares_alone() {
        let mut chance = counting(1);
        let shares: Vec<_> = (0..3).map(|_| KeyShare::draw(&mut chance)).collect();
        let id = KeyId::of_row(7);
        let sealed = key_of_shares(id, &shares).seal(&PLACE, b"text");
        assert_eq!(key_of_shares(id, &shares).open(&PLACE, &sealed).unwrap(), b"text");
        for missing in 0..3 {
            let left = shares.iter().enumerate().filter(|(place, _)| *place != missing);
            let key = key_of_shares(id, left.map(|(_, share)| share));
            assert_eq!(key.open(&PLACE, &sealed), Err(OpenError::Damaged), "without {missing}");
        }
        let turned = key_of_shares(id, shares.iter().rev());
        assert_eq!(turned.open(&PLACE, &sealed), Err(OpenError::Damaged));
        assert_eq!(format!("{:?}", shares[0]), "KeyShare(..)");
    }
}
