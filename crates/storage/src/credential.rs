//! API keys in the forms their holders carry: a pair for two headers, or one string.
//!
//! `abk_` and the 26 characters of the key's id name the key; `abs_` and 43 characters prove it. `abt_` joins both for
//! callers that can send only one string. All three hold the same 32 random bytes, so one hash of the 43 characters
//! serves them, and revoking the key revokes each form.
//!
//! Minting takes two steps, because the store assigns the id: [`KeySecret::mint`], store its hash, then
//! [`KeySecret::issue`] under the id that the store answered.

use std::fmt;

use abide_core::Timestamp;
use abide_core::ids::KeyId;

use crate::accounts::ApiKey;
use crate::sealing::{Secret, SecretHash};

const KEY: &str = "abk_";
const SECRET: &str = "abs_";
const TOKEN: &str = "abt_";
/// Characters of a key's id without a prefix.
const ID_LENGTH: usize = 26;
/// Characters of 32 bytes in base 64.
const SECRET_LENGTH: usize = 43;

/// The secret part of a key that has no id yet.
#[derive(Debug)]
pub struct KeySecret(Secret);

/// A key as shown to its holder, once (I12).
#[derive(Debug)]
pub struct ApiCredential {
    /// The key's id.
    pub id: KeyId,
    /// For `X-API-Key`.
    pub api_key: String,
    /// For `X-API-Secret`.
    pub api_secret: Secret,
    /// Both in one, for `Authorization: Bearer` or alone in `X-API-Key`.
    pub bearer_token: Secret,
}

/// What a caller holds out, well formed but not yet believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Presented<'a> {
    id: KeyId,
    secret: &'a str,
}

impl KeySecret {
    /// Makes a secret out of 32 random bytes.
    pub fn mint(random: &[u8; 32]) -> Self {
        Self(Secret::mint("", random))
    }

    /// What the store keeps of it.
    pub fn hash(&self) -> SecretHash {
        self.0.hash()
    }

    /// The forms of the key that the store created with this secret's hash.
    pub fn issue(&self, id: KeyId) -> ApiCredential {
        let (name, secret) = (id.to_base32(), self.0.reveal());
        ApiCredential {
            id,
            api_key: format!("{KEY}{name}"),
            api_secret: Secret::from(format!("{SECRET}{secret}")),
            bearer_token: Secret::from(format!("{TOKEN}{name}{secret}")),
        }
    }
}

impl<'a> Presented<'a> {
    /// Reads the two-header form.
    pub fn pair(api_key: &str, api_secret: &'a str) -> Option<Self> {
        let id = KeyId::from_base32(api_key.strip_prefix(KEY)?)?;
        Self::of(id, api_secret.strip_prefix(SECRET)?)
    }

    /// Reads the single-string form.
    pub fn token(token: &'a str) -> Option<Self> {
        let (name, secret) = token.strip_prefix(TOKEN)?.split_at_checked(ID_LENGTH)?;
        Self::of(KeyId::from_base32(name)?, secret)
    }

    fn of(id: KeyId, secret: &'a str) -> Option<Self> {
        (secret.len() == SECRET_LENGTH).then_some(Self { id, secret })
    }

    /// Whether an `X-API-Secret` sent beside a token is the token's own.
    pub fn has_secret(&self, api_secret: &str) -> bool {
        api_secret.strip_prefix(SECRET) == Some(self.secret)
    }

    /// The key it names.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether it opens what `key` opens at `now`. Takes the same time for a key that does not exist as for a wrong secret.
    pub fn opens(&self, key: Option<&ApiKey>, now: Timestamp) -> bool {
        let hash = key.map_or(SecretHash([0; 32]), |key| key.secret);
        let matches = hash.matches(self.secret);
        let is_live = |key: &ApiKey| {
            key.revoked_at.is_none() && key.expires_at.is_none_or(|expires_at| now < expires_at)
        };
        matches && key.is_some_and(|key| key.id == self.id && is_live(key))
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use abide_core::ids::OrganizationId;
    use abide_core::rate::RateLimit;
    use proptest::prelude::*;

    use super::*;
    use crate::RateMeter;

    fn stored(id: KeyId, secret: &KeySecret) -> ApiKey {
        ApiKey {
            id,
            organization: OrganizationId::from_key(1),
            name: "shop".to_owned(),
            scopes: Vec::new(),
            secret: secret.hash(),
            rate_limit: RateLimit::DEFAULT,
            meter: RateMeter::default(),
            created_at: Timestamp::from_millis(0),
            revoked_at: None,
            expires_at: None,
            last_used_at: None,
        }
    }

    proptest! {
        /// P30, I12: both forms open the key they were issued for, no other, and not once it is revoked or expired.
        #[test]
        fn each_form_opens_its_key_alone(key in 0..i64::MAX, other in 0..i64::MAX, random: [u8; 32]) {
            prop_assume!(key != other);
            let secret = KeySecret::mint(&random);
            let issued = secret.issue(KeyId::from_key(key));
            prop_assert_eq!((issued.api_key.len(), issued.api_secret.reveal().len()), (30, 47));
            let mut held = stored(issued.id, &secret);
            let pair = Presented::pair(&issued.api_key, issued.api_secret.reveal()).unwrap();
            let token = Presented::token(issued.bearer_token.reveal()).unwrap();
            prop_assert_eq!(pair, token);
            prop_assert!(token.has_secret(issued.api_secret.reveal()));
            let now = Timestamp::from_millis(5);
            prop_assert!(pair.opens(Some(&held), now) && !pair.opens(None, now));
            held.expires_at = Some(Timestamp::from_millis(6));
            prop_assert!(pair.opens(Some(&held), now));
            held.expires_at = Some(now);
            prop_assert!(!pair.opens(Some(&held), now), "from its end on");
            held.expires_at = None;
            held.revoked_at = Some(Timestamp::from_millis(1));
            prop_assert!(!pair.opens(Some(&held), now));
            prop_assert!(!pair.opens(Some(&stored(KeyId::from_key(other), &secret)), now));
            let wrong = KeySecret::mint(&random.map(|byte| byte ^ 1));
            prop_assert!(!pair.opens(Some(&stored(issued.id, &wrong)), now));
        }

        /// P30: what is no key is no key, whatever it holds.
        #[test]
        fn anything_else_is_not_read(text in "(abk_|abt_|abs_|cp_live_)?\\PC{0,80}") {
            prop_assert_eq!(Presented::token(&text), None);
            prop_assert_eq!(Presented::pair(&text, &text), None);
        }
    }

    /// I12: a credential in a log line shows its id at most.
    #[test]
    fn debug_shows_no_secret() {
        let secret = KeySecret::mint(&[7; 32]);
        let issued = secret.issue(KeyId::from_key(7));
        let presented = Presented::token(issued.bearer_token.reveal()).unwrap();
        let shown = format!("{secret:?} {issued:?} {presented:?}");
        assert!(!shown.contains(secret.0.reveal()), "{shown}");
    }
}
