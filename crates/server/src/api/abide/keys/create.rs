//! `POST /abide/v1/keys`: a new key, with its secret shown this once.

use abide_core::Timestamp;
use abide_core::access::Scope;
use abide_core::rate::RateLimit;
use abide_core::shell::draw;
use abide_storage::accounts::{ApiKey, NewKey};
use abide_storage::{ApiCredential, KeySecret};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;

use super::{GROUP, NewKeyObject, new_key_schema};
use crate::api::abide::answer::{Answer, created_with_secret};
use crate::api::abide::describe::{self, Operation, field, optional, or_null, text_of, time};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{Admin, By};
use crate::idempotency::Repeatable;
use crate::input::{Fields, FromField, Name, Text, one_of};
use crate::router::Shared;

const NAME: Name = Name(&["name"]);
const SCOPES: Name = Name(&["scopes"]);
const EXPIRES_AT: Name = Name(&["expires_at"]);

/// Longest name of a key, in characters.
const NAME_LIMIT: usize = 100;

pub(crate) fn about() -> Operation {
    Operation::new("create_key", GROUP, "Create a key", new_key_schema())
        .says(
            "The secret is in this answer and nowhere else. A key grants only what it may do itself; \
             `organizations:write` is granted on the command line alone.",
        )
        .scope(Scope::Admin)
        .takes(vec![
            field("name", text_of(1, 100), "What its holder is called."),
            field("scopes", describe::list(describe::scope()), "What it may do; one at least."),
            optional("expires_at", or_null(time()), "From when it opens nothing. Without it, never."),
        ])
        .creates()
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let secret = KeySecret::mint(&draw(app.chance.as_ref()));
    let mut fields = Fields::parse(&body)?;
    fields.only(&[NAME, SCOPES, EXPIRES_AT]);
    let now = app.clock.now();
    let new = key(&mut fields, &by.key, &secret, now);
    let new = fields.finish(new)?;
    let once = by.once::<Created>(&body);
    let key = app.storage.accounts().create_key(&once, new, now).await?;
    answer(&key, Some(&secret.issue(key.id)))
}

fn answer(key: &ApiKey, issued: Option<&ApiCredential>) -> Answer {
    let location = format!("/abide/v1/keys/{}", key.id);
    created_with_secret(&location, &NewKeyObject::new(key, issued))
}

enum Created {}

impl Repeatable for Created {
    type Result = ApiKey;

    fn answer(key: &ApiKey) -> Response {
        answer(key, None).into_response()
    }
}

fn key(
    fields: &mut Fields<'_>,
    granter: &ApiKey,
    secret: &KeySecret,
    now: Timestamp,
) -> Option<NewKey> {
    let name = fields.required(NAME);
    let name = fields.line(NAME, name, NAME_LIMIT);
    let scopes = fields.required(SCOPES);
    let scopes = scopes.map(|Scopes(scopes)| scopes);
    for scope in scopes.iter().flatten() {
        if let Err(problem) = may_grant(granter, *scope) {
            fields.problem(SCOPES.0[0], problem);
        }
    }
    let expires_at: Option<Timestamp> = fields.optional(EXPIRES_AT);
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        fields.problem(EXPIRES_AT.0[0], "must lie in the future");
    }
    Some(NewKey {
        name: name?,
        scopes: scopes?,
        secret: secret.hash(),
        rate_limit: RateLimit::DEFAULT,
        expires_at,
    })
}

/// Whether the holder of a key may give a scope to another one.
fn may_grant(granter: &ApiKey, scope: Scope) -> Result<(), String> {
    if scope == Scope::OrganizationsWrite {
        return Err(
            "must not hold `organizations:write`, which only the command line grants".to_owned()
        );
    }
    if granter.scopes.iter().any(|held| held.covers(scope)) {
        return Ok(());
    }
    Err(format!("must not hold `{}`, which your own key lacks", scope.as_str()))
}

/// Scopes without repetition, in the order of their list.
#[derive(Debug, PartialEq, Eq)]
struct Scopes(Vec<Scope>);

impl FromField for Scopes {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let elements = crate::input::elements(raw.get().as_bytes(), Scope::ALL.len())?;
        if elements.is_empty() {
            return Err("must name at least one scope".to_owned());
        }
        let mut scopes = Vec::with_capacity(elements.len());
        for (place, raw) in elements.into_iter().enumerate() {
            let scope = Text::read(raw).ok().and_then(|Text(text)| Scope::parse(&text));
            let allowed = || one_of(Scope::ALL.iter().map(|scope| scope.as_str()));
            scopes.push(scope.ok_or_else(|| format!("[{place}] {}", allowed()))?);
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Self(scopes))
    }
}
