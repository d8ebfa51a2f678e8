//! The page that shows a new secret, this once, with receivers that hold it.

use abide_dialects::Dialect;
use abide_storage::endpoints::EndpointView;
use abide_storage::sealing::Secret;
use askama::Template;

use super::receivers::Receivers;
use super::test::TestPart;
use crate::pages::layout::{Layout, Section};
use crate::pages::signed_in::SignedIn;
use crate::pages::{Answer, page as answer};

/// What made the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// A new endpoint.
    WithEndpoint,
    /// A rotation.
    ByRotation,
}

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

/// Shows it.
pub(super) fn show(
    who: &SignedIn,
    endpoint: &EndpointView,
    dialect: &'static dyn Dialect,
    secret: &Secret,
    made: Made,
) -> Answer {
    let secret = secret.reveal();
    let public_key = dialect.public_key(secret);
    let verifies = public_key.as_deref().unwrap_or(secret);
    answer(&SecretPage {
        layout: who.layout(Section::Endpoints),
        id: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        short: super::short(&endpoint.url),
        dialect: dialect.label(),
        is_new: made == Made::WithEndpoint,
        receivers: Receivers::of(dialect.name(), &endpoint.url, Some(verifies)),
        test: TestPart::new(who, endpoint, dialect, None),
        secret: secret.to_owned(),
        public_key,
    })
}
