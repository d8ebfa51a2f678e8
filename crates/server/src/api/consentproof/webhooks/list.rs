//! `GET /v1/webhooks`: webhooks, newest first.

use abide_dialects::Dialect as _;
use abide_dialects::consentproof::ConsentProof;
use abide_storage::Page;
use axum::extract::State;
use http::Uri;

use super::WebhookObject;
use crate::api::consentproof::envelope::{Answer, page};
use crate::caller::{By, WebhooksRead};
use crate::input::Params;
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    uri: Uri,
) -> Answer {
    let mut params = Params::parse(&uri)?;
    let wanted = params.page();
    let wanted = params.finish(wanted)?;
    let endpoints = shared.app.storage.endpoints();
    let found = endpoints.list(by.caller.organization, Some(ConsentProof.name()), wanted).await?;
    let ids: Vec<_> = found.items.iter().map(|endpoint| endpoint.id).collect();
    let totals = shared.app.storage.counts().totals(by.caller.organization, &ids).await?;
    let items = found.items.into_iter().zip(totals).collect();
    page(&Page { items, total: found.total }, wanted, WebhookObject::with_totals)
}
