//! Tokens of the dashboard: session cookies and one-time links.
//!
//! 26 characters that name a row, 43 that prove the holder was handed it. The store keeps a hash of the 43, as with API
//! keys; so looking one up is reading a row by its key, and comparing takes the same time for every wrong token.

use std::fmt;

use abide_core::ids::{Id, Kind};

use crate::sealing::{Secret, SecretHash};

/// Characters of an id without its prefix.
const ID_LENGTH: usize = 26;
/// Characters of 32 bytes in base 64.
const SECRET_LENGTH: usize = 43;

/// The secret part of a token whose row has no id yet.
#[derive(Debug)]
pub struct TokenSecret(Secret);

/// A token as it was handed back, well formed but not yet believed.
#[derive(Clone, Copy)]
pub struct PresentedToken<'a, K> {
    id: Id<K>,
    secret: &'a str,
}

impl TokenSecret {
    /// Makes a secret out of 32 random bytes.
    pub fn mint(random: &[u8; 32]) -> Self {
        Self(Secret::mint("", random))
    }

    /// What the store keeps of it.
    pub fn hash(&self) -> SecretHash {
        self.0.hash()
    }

    /// The whole token, for the row that was stored with this secret's hash.
    pub fn issue<K: Kind>(&self, id: Id<K>) -> Secret {
        Secret::from(format!("{}{}", id.to_base32(), self.0.reveal()))
    }
}

impl<'a, K: Kind> PresentedToken<'a, K> {
    /// Reads a token.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (name, secret) = text.split_at_checked(ID_LENGTH)?;
        let id = Id::from_base32(name)?;
        (secret.len() == SECRET_LENGTH).then_some(Self { id, secret })
    }

    /// The row it names.
    pub fn id(&self) -> Id<K> {
        self.id
    }

    /// What the store would have kept of it.
    pub fn hash(&self) -> SecretHash {
        Secret::from(self.secret.to_owned()).hash()
    }

    /// Whether it is the token that this was kept of. Takes as long where nothing was kept.
    pub fn opens(&self, kept: Option<&SecretHash>) -> bool {
        let matches = kept.unwrap_or(&SecretHash([0; 32])).matches(self.secret);
        matches && kept.is_some()
    }
}

impl<K: Kind> fmt::Debug for PresentedToken<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedToken").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use abide_core::ids::{Session, SessionId, User, UserId};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// I12: a token opens the row it was issued for, by its hash alone, and no other kind of row.
        #[test]
        fn i12_a_token_opens_its_row_alone(key in 0..i64::MAX, random: [u8; 32], at in 0_usize..32, bit in 0_u8..8) {
            let secret = TokenSecret::mint(&random);
            let token = secret.issue(SessionId::from_key(key));
            let presented = PresentedToken::<Session>::parse(token.reveal()).unwrap();
            prop_assert_eq!(presented.id(), SessionId::from_key(key));
            prop_assert!(presented.opens(Some(&secret.hash())) && !presented.opens(None));
            prop_assert!(presented.opens(Some(&presented.hash())));
            let mut other = random;
            other[at] ^= 1 << bit;
            prop_assert!(!presented.opens(Some(&TokenSecret::mint(&other).hash())));
            prop_assert!(PresentedToken::<User>::parse(token.reveal()).is_none());
            prop_assert!(PresentedToken::<Session>::parse(&token.reveal()[1..]).is_none());
        }

        #[test]
        fn anything_else_is_not_read(text in "\\PC{0,80}") {
            prop_assert!(PresentedToken::<User>::parse(&text).is_none());
        }
    }

    /// I12: a token in a log line shows its row at most.
    #[test]
    fn debug_shows_no_secret() {
        let secret = TokenSecret::mint(&[7; 32]);
        let token = secret.issue(UserId::from_key(7));
        let presented = PresentedToken::<User>::parse(token.reveal()).unwrap();
        let shown = format!("{secret:?} {token:?} {presented:?}");
        assert!(!shown.contains(secret.0.reveal()), "{shown}");
    }
}
