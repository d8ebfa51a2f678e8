//! API keys: minted, listed, revoked.

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller, Scope};
use abide_core::ids::KeyId;
use abide_core::rate::RateLimit;
use abide_core::shell::draw;
use abide_storage::accounts::{ApiKey, NewKey};
use abide_storage::credential::KeySecret;
use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::Ground;

/// A new key, with everything that is shown only once (I12).
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MintedKey {
    /// The id that lists show and `revoke` takes.
    pub(crate) id: KeyId,
    /// For `X-API-Key`, with the secret beside it.
    pub(crate) api_key: String,
    /// For `X-API-Secret`.
    pub(crate) api_secret: String,
    /// Both in one, for `Authorization: Bearer`.
    pub(crate) bearer_token: String,
}

/// A key as lists show it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeyFacts {
    /// Its id.
    pub(crate) id: KeyId,
    /// What its holder is called.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) scopes: Vec<Scope>,
    /// How many requests it may make in a minute.
    pub(crate) rate_limit: RateLimit,
    /// When it was created.
    pub(crate) created_at: String,
    /// When it was revoked, if it was.
    pub(crate) revoked_at: Option<String>,
}

/// Mints a key.
pub(super) async fn create(
    ground: &Ground,
    by: &Caller,
    name: String,
    mut scopes: Vec<Scope>,
    rate_limit: RateLimit,
) -> anyhow::Result<MintedKey> {
    let length = name.chars().count();
    ensure!(
        (1..=100).contains(&length) && !name.chars().any(char::is_control),
        "a key's name has 1 to 100 characters, none of them a control character"
    );
    ensure!(!scopes.is_empty(), "a key without a scope would open nothing");
    scopes.sort_unstable();
    scopes.dedup();
    let secret = KeySecret::mint(&draw(&*ground.chance));
    let new = NewKey { name, scopes, secret: secret.hash(), rate_limit, expires_at: None };
    let key = ground.storage.accounts().create_key(by, new, ground.clock.now()).await?;
    Ok(MintedKey::of(&secret, key.id))
}

impl MintedKey {
    /// The key that the store made with the hash of this secret.
    pub(crate) fn of(secret: &KeySecret, key: KeyId) -> Self {
        let issued = secret.issue(key);
        Self {
            id: issued.id,
            api_key: issued.api_key,
            api_secret: issued.api_secret.reveal().to_owned(),
            bearer_token: issued.bearer_token.reveal().to_owned(),
        }
    }
}

/// An organization's keys, oldest first.
pub(super) async fn list(ground: &Ground, by: &Caller) -> anyhow::Result<Vec<KeyFacts>> {
    let keys = ground.storage.accounts().keys(by.organization).await?;
    Ok(keys.iter().map(facts).collect())
}

/// Revokes a key of whatever organization: its id says whose it is.
pub(super) async fn revoke(ground: &Ground, key: KeyId) -> anyhow::Result<KeyFacts> {
    let accounts = ground.storage.accounts();
    let found = accounts.key(key).await?.with_context(|| format!("there is no key {key}"))?;
    let by = Caller::new(found.organization, Actor::Operator);
    let revoked = accounts.revoke_key(&by, key, ground.clock.now()).await?;
    Ok(facts(&revoked))
}

fn facts(key: &ApiKey) -> KeyFacts {
    KeyFacts {
        id: key.id,
        name: key.name.clone(),
        scopes: key.scopes.clone(),
        rate_limit: key.rate_limit,
        created_at: key.created_at.to_seconds_text(),
        revoked_at: key.revoked_at.map(Timestamp::to_seconds_text),
    }
}
