//! The page that shows a new secret, this once, with receivers that hold it.

use abide_core::ids::EndpointId;
use abide_storage::sealing::Secret;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use super::receivers::Receivers;
use super::test::{Answered, TestPart};
use super::{dialect_of, find, path};
use crate::caller::WebhooksWrite;
use crate::pages::layout::{Layout, Section};
use crate::pages::shown_once::{Shown, ShownBefore, taken};
use crate::pages::signed_in::{Allowed, SignedIn};
use crate::pages::{Answer, page as answer};
use crate::router::{Inner, Shared};

#[derive(Template)]
#[template(path = "endpoint_secret.html")]
struct SecretPage {
    layout: Layout,
    id: String,
    url: String,
    short: String,
    dialect: &'static str,
    is_new: bool,
    secret: String,
    public_key: Option<String>,
    receivers: Receivers,
    test: TestPart,
}

/// To the page that shows it once.
pub(super) fn hand_on(
    shared: &Inner,
    who: &SignedIn,
    endpoint: EndpointId,
    what: fn(i64) -> Shown,
    secret: &Secret,
) -> Response {
    let (cookies, now) = (shared.app.dashboard.cookies, shared.app.clock.now());
    let path = format!("{}/secret", path(endpoint));
    who.shown_once.hand_on(&path, what(endpoint.key()), secret, cookies, now)
}

/// `GET /endpoints/{id}/secret`: the secret that was made just now, this once.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
) -> Answer {
    let app = &shared.app;
    let endpoint = find(&shared, &who, &id).await?;
    let dialect = dialect_of(&endpoint)?;
    let take = |what: Shown| who.shown_once.take(what, app.clock.now());
    let key = endpoint.id.key();
    let new = take(Shown::EndpointSecret(key));
    let is_new = new.is_some();
    let Some(secret) = new.or_else(|| take(Shown::RotatedSecret(key))) else {
        let page = ShownBefore {
            layout: who.layout(Section::Endpoints),
            what: "The secret",
            otherwise: "If you have not copied it, replace it on the endpoint's page.",
            path: path(endpoint.id),
            label: "To the endpoint",
        };
        return page.answer();
    };
    let public_key = dialect.public_key(secret.reveal());
    let verifies = public_key.as_deref().unwrap_or(secret.reveal());
    let page = SecretPage {
        layout: who.layout(Section::Endpoints),
        id: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        short: super::short(&endpoint.url),
        dialect: dialect.label(),
        is_new,
        receivers: Receivers::of(dialect.name(), &endpoint.url, Some(verifies)),
        test: TestPart::new(&who, &endpoint, dialect, Answered::InAnotherTab, None),
        secret: secret.reveal().to_owned(),
        public_key,
    };
    Ok(taken(answer(&page)?, app.dashboard.cookies))
}
