//! API keys: created, read, revoked. A secret is shown in the answer to its creation and never again (I12).

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod revoke;

use abide_core::access::Scope;
use abide_core::ids::{Key, KeyId};
use abide_storage::ApiCredential;
use abide_storage::accounts::ApiKey;
use serde::Serialize;

use super::answer::Time;
use super::describe::{
    self, Field, Schema, field, id, named, object, or_null, text, text_of, time,
};

const GROUP: &str = "Keys";
const SHOWN_ONCE: &str =
    "Shown this once: null in an answer given again for the same `Idempotency-Key`.";

/// A key as this API shows it.
#[derive(Serialize)]
pub(crate) struct KeyObject {
    id: KeyId,
    name: String,
    scopes: Vec<Scope>,
    created_at: Time,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
    revoked_at: Option<Time>,
}

/// A key in the answer to its creation: with its secret, this once.
#[derive(Serialize)]
pub(crate) struct NewKeyObject<'a> {
    #[serde(flatten)]
    key: KeyObject,
    api_key: Option<&'a str>,
    api_secret: Option<&'a str>,
    bearer_token: Option<&'a str>,
}

impl From<&ApiKey> for KeyObject {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            created_at: Time(key.created_at),
            expires_at: key.expires_at.map(Time),
            last_used_at: key.last_used_at.map(Time),
            revoked_at: key.revoked_at.map(Time),
        }
    }
}

impl<'a> NewKeyObject<'a> {
    /// With what was issued; `None` in an answer that is given again.
    pub(crate) fn new(key: &ApiKey, issued: Option<&'a ApiCredential>) -> Self {
        Self {
            key: key.into(),
            api_key: issued.map(|issued| issued.api_key.as_str()),
            api_secret: issued.map(|issued| issued.api_secret.reveal()),
            bearer_token: issued.map(|issued| issued.bearer_token.reveal()),
        }
    }
}

fn fields() -> Vec<Field> {
    vec![
        field("id", id::<Key>(), "Its id."),
        field("name", text_of(1, 100), "What its holder is called."),
        field("scopes", describe::list(describe::scope()), "What it may do."),
        field("created_at", time(), "When it was created."),
        field("expires_at", or_null(time()), "From when it opens nothing."),
        field("last_used_at", or_null(time()), "When it was last used, to the minute."),
        field("revoked_at", or_null(time()), "When it was revoked; from then on it opens nothing."),
    ]
}

/// A key.
pub(crate) fn schema() -> Schema {
    named("Key", object(fields()))
}

/// A key with its secret.
pub(crate) fn new_key_schema() -> Schema {
    let mut fields = fields();
    fields.extend([
        field("api_key", or_null(text()), "For `X-API-Key`, with `api_secret` in `X-API-Secret`."),
        field("api_secret", or_null(text()), SHOWN_ONCE),
        field(
            "bearer_token",
            or_null(text()),
            "Both in one, for `Authorization: Bearer`; shown this once too.",
        ),
    ]);
    named("NewKey", object(fields))
}
