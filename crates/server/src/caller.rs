//! Who calls: an API key, presented as a pair of headers or as one string.
//!
//! Forms and their meaning are in [`abide_storage::credential`]. Everything that is not a valid key gets the same
//! answer, whatever was wrong with it. A cookie is not looked at.

use std::marker::PhantomData;
use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller, Scope};
use abide_storage::accounts::ApiKey;
use abide_storage::{Presented, StorageError};
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::idempotency::{Repeatable, SentKey};
use crate::input::{FieldProblem, Invalid, Within};
use crate::rejection::Owner;
use crate::router::Shared;
use crate::{App, quota};

/// Why a caller is turned away.
#[derive(Debug)]
pub(crate) enum TurnedAway {
    /// No credential was sent.
    Missing,
    /// What was sent is not one valid key.
    Invalid,
    /// The key is valid and may not do this.
    Lacks(Scope),
    /// The key is valid and has used up its limit; it may come again in so many seconds (P33).
    TooMany {
        /// Seconds until its limit begins anew.
        again_in: i64,
    },
    /// It could not be looked up.
    Storage(StorageError),
}

/// A caller whose key holds the scope `S`. A handler that takes it cannot forget to ask for the scope.
#[derive(Debug)]
pub(crate) struct By<S> {
    pub(crate) caller: Caller,
    /// The key that they hold.
    pub(crate) key: Arc<ApiKey>,
    once: Option<SentKey>,
    scope: PhantomData<S>,
}

/// A scope as a type.
pub(crate) trait Needed {
    /// `None` where every valid key will do.
    const SCOPE: Option<Scope>;
}

/// Whoever holds a valid key, whatever it may do.
#[derive(Debug)]
pub(crate) enum AnyScope {}

impl Needed for AnyScope {
    const SCOPE: Option<Scope> = None;
}

macro_rules! needed {
    ($($name:ident)*) => {$(
        #[derive(Debug)]
        pub(crate) enum $name {}
        impl Needed for $name {
            const SCOPE: Option<Scope> = Some(Scope::$name);
        }
    )*};
}
needed! { Admin AuditRead ConsentRead ConsentWrite OrganizationsWrite PoliciesWrite WebhooksRead WebhooksWrite }

impl<S: Needed> FromRequestParts<Shared> for By<S> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let app = &shared.app;
        let now = app.clock.now();
        let owner = || Owner::of(parts.uri.path());
        let key = authenticate(app, &parts.headers, S::SCOPE, now).await;
        let key = key.map_err(|reason| owner().tell(reason))?;
        shared.key_uses.note(&app.storage, key.id, now);
        let once = SentKey::of(parts).map_err(|problem| owner().tell(problem))?;
        parts.extensions.insert(Within(key.organization));
        let caller = Caller::new(key.organization, Actor::Key(key.id));
        Ok(Self { caller, key, once, scope: PhantomData })
    }
}

impl<S> By<S> {
    /// The caller of a change that a repeat does once more, whatever key it comes with: a key is refused, not ignored.
    pub(crate) fn each_time(&self) -> Result<Caller, Invalid> {
        if self.once.is_none() {
            return Ok(self.caller);
        }
        let field = "Idempotency-Key".to_owned();
        let problem = "is not heeded here: look at the delivery before you send this again".into();
        Err(Invalid::Fields(vec![FieldProblem { field, problem }]))
    }

    /// The caller of a creation, which is made once where they sent an `Idempotency-Key`.
    pub(crate) fn once<R: Repeatable>(&self, body: &[u8]) -> Caller {
        match &self.once {
            Some(key) => key.once::<R>(self.caller, body),
            None => self.caller,
        }
    }
}

/// Finds the caller's key, counts the request, and checks that the key opens something now and holds `scope`.
pub(crate) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    scope: Option<Scope>,
    now: Timestamp,
) -> Result<Arc<ApiKey>, TurnedAway> {
    let key = recognise(app, headers, now).await?;
    match scope {
        Some(scope) if !key.scopes.iter().any(|held| held.covers(scope)) => {
            Err(TurnedAway::Lacks(scope))
        }
        Some(_) | None => Ok(key),
    }
}

/// The key that was presented, if it opens; its request is counted (P33).
pub(crate) async fn recognise(
    app: &App,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Arc<ApiKey>, TurnedAway> {
    let presented = presented(headers)?;
    let key = app.storage.accounts().key(presented.id()).await.map_err(TurnedAway::Storage)?;
    if !presented.opens(key.as_deref(), now) {
        return Err(TurnedAway::Invalid);
    }
    let key = key.ok_or(TurnedAway::Invalid)?;
    quota::count(&key, now)?;
    Ok(key)
}

/// The one credential that the headers hold. Two that disagree are none.
fn presented(headers: &HeaderMap) -> Result<Presented<'_>, TurnedAway> {
    let api_key = single(headers, "x-api-key")?;
    let api_secret = single(headers, "x-api-secret")?;
    let authorization = single(headers, AUTHORIZATION.as_str())?;

    let by_key = match (api_key, api_secret) {
        (Some(key), Some(secret)) => Some(
            Presented::token(key)
                .filter(|token| token.has_secret(secret))
                .or_else(|| Presented::pair(key, secret))
                .ok_or(TurnedAway::Invalid)?,
        ),
        (Some(key), None) => Some(Presented::token(key).ok_or(TurnedAway::Invalid)?),
        (None, Some(_)) => return Err(TurnedAway::Invalid),
        (None, None) => None,
    };
    let by_bearer = authorization
        .map(|value| bearer(value).and_then(Presented::token).ok_or(TurnedAway::Invalid))
        .transpose()?;
    match (by_key, by_bearer) {
        (Some(one), Some(other)) if one != other => Err(TurnedAway::Invalid),
        (Some(one), _) | (None, Some(one)) => Ok(one),
        (None, None) => Err(TurnedAway::Missing),
    }
}

/// The value of a header that is sent once, or several times alike.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, TurnedAway> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(TurnedAway::Invalid);
    }
    first.to_str().map(Some).map_err(|_| TurnedAway::Invalid)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use abide_core::ids::KeyId;
    use abide_storage::{ApiCredential, KeySecret};
    use http::HeaderValue;

    use super::*;

    fn credential(seed: u8) -> ApiCredential {
        KeySecret::mint(&[seed; 32]).issue(KeyId::from_key(i64::from(seed)))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    /// P30: each form alone, and forms that agree.
    #[test]
    fn p30_every_form_is_read() {
        let one = credential(1);
        let (key, secret) = (one.api_key.as_str(), one.api_secret.reveal());
        let token = one.bearer_token.reveal();
        let bearer = format!("bearer  {token}");
        for sent in [
            headers(&[("x-api-key", key), ("x-api-secret", secret)]),
            headers(&[("x-api-key", token)]),
            headers(&[("authorization", &bearer)]),
            headers(&[("x-api-key", token), ("x-api-secret", secret), ("authorization", &bearer)]),
            headers(&[("x-api-key", key), ("x-api-secret", secret), ("authorization", &bearer)]),
            headers(&[("x-api-key", token), ("x-api-key", token), ("cookie", "session=1")]),
        ] {
            assert_eq!(presented(&sent).unwrap().id(), one.id);
        }
    }

    /// P29: two credentials that disagree, halves and other schemes open nothing.
    #[test]
    fn p29_what_disagrees_is_invalid() {
        let (one, two) = (credential(1), credential(2));
        let (key, secret) = (one.api_key.as_str(), one.api_secret.reveal());
        let other = format!("Bearer {}", two.bearer_token.reveal());
        for sent in [
            headers(&[("x-api-key", key)]),
            headers(&[("x-api-secret", secret)]),
            headers(&[("x-api-key", secret), ("x-api-secret", key)]),
            headers(&[("x-api-key", key), ("x-api-secret", secret), ("authorization", &other)]),
            headers(&[("x-api-key", key), ("x-api-key", &two.api_key), ("x-api-secret", secret)]),
            headers(&[
                ("x-api-key", one.bearer_token.reveal()),
                ("x-api-secret", two.api_secret.reveal()),
            ]),
            headers(&[("authorization", "Basic dXNlcjpwYXNz")]),
            headers(&[("authorization", one.bearer_token.reveal())]),
        ] {
            assert!(matches!(presented(&sent), Err(TurnedAway::Invalid)), "{sent:?}");
        }
        assert!(matches!(
            presented(&headers(&[("cookie", "session=1")])),
            Err(TurnedAway::Missing)
        ));
    }
}
