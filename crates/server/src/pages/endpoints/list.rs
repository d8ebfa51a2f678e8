//! `GET /endpoints`: every endpoint, newest first, with how its deliveries go (P10).

use abide_core::ids::EndpointId;
use abide_dialects::by_name;
use abide_storage::counts::Totals;
use abide_storage::endpoints::EndpointView;
use askama::Template;
use axum::extract::State;
use http::Uri;

use crate::caller::WebhooksRead;
use crate::pages::cursor::{Older, asked};
use crate::pages::layout::{Layout, Section};
use crate::pages::signed_in::Allowed;
use crate::pages::when::When;
use crate::pages::words::{self, Badge};
use crate::pages::{Answer, page as answer};
use crate::router::Shared;

/// Endpoints per page.
const PER_PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "endpoints.html")]
struct ListPage {
    layout: Layout,
    rows: Vec<Row>,
    is_first: bool,
    may_write: bool,
    older: Older,
}

/// An endpoint in a list.
struct Row {
    id: EndpointId,
    url: String,
    note: Option<String>,
    state: Badge,
    dialect: String,
    events: String,
    last: Option<When>,
    delivered: u64,
    failed: u64,
}

impl Row {
    fn of(endpoint: &EndpointView, totals: Totals) -> Self {
        let dialect = by_name(&endpoint.dialect);
        Self {
            id: endpoint.id,
            url: super::short(&endpoint.url),
            note: endpoint.description.clone(),
            state: words::endpoint_state(endpoint),
            dialect: dialect
                .map_or_else(|| endpoint.dialect.clone(), |dialect| dialect.label().to_owned()),
            events: words::events(&endpoint.events),
            last: totals.last_attempt_at.map(When),
            delivered: totals.successful,
            failed: totals.failed,
        }
    }
}

/// `GET /endpoints`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<WebhooksRead>,
    uri: Uri,
) -> Answer {
    let storage = &shared.app.storage;
    let organization = who.caller().organization;
    let place = asked(&uri, "before");
    let before = place.as_deref().and_then(|id| EndpointId::parse(id).ok());
    let mut found = storage.endpoints().before(organization, None, before, PER_PAGE + 1).await?;
    let more = found.len() > PER_PAGE as usize;
    found.truncate(PER_PAGE as usize);
    let ids: Vec<_> = found.iter().map(|endpoint| endpoint.id).collect();
    let totals = storage.counts().totals(organization, &ids).await?;
    let last = ids.last().filter(|_| more).map(ToString::to_string);
    answer(&ListPage {
        layout: who.layout(Section::Endpoints),
        rows: found
            .iter()
            .zip(totals)
            .map(|(endpoint, totals)| Row::of(endpoint, totals))
            .collect(),
        is_first: before.is_none(),
        may_write: who.may(abide_core::access::Scope::WebhooksWrite),
        older: Older::new("/endpoints", &[], place.as_deref(), last),
    })
}
