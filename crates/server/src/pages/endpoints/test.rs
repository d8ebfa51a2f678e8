//! `/endpoints/{id}/test`: a sample event, sent once, with what its receiver answered (P25).

use abide_core::endpoint::EventFilter;
use abide_core::event::EventKind;
use abide_core::ids::DeliveryId;
use abide_dialects::Dialect;
use abide_storage::endpoints::EndpointView;
use abide_storage::history::DeliveryView;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Path, State};

use super::{find, path};
use crate::caller::WebhooksWrite;
use crate::pages::form::Form;
use crate::pages::signed_in::{Allowed, SignedIn};
use crate::pages::words::{self, Shown};
use crate::pages::{Answer, see_other, when};
use crate::router::{Inner, Shared};
use crate::test_send::send_test;

/// Where the answer to a test is shown, in a browser without the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// On the endpoint's page, in place of this one.
    Here,
    /// On the endpoint's page in another tab: what this one shows is shown once.
    InAnotherTab,
}

/// The form that sends a test, and what the last one showed. Written into a template as `{{ test }}`.
#[derive(Debug, Template)]
#[template(path = "endpoint_test.html")]
pub(super) struct TestPart {
    id: String,
    form_token: String,
    kinds: Vec<&'static str>,
    in_another_tab: bool,
    result: Option<TestResult>,
}

/// It escapes what it holds by itself.
impl HtmlSafe for TestPart {}

/// What a test showed.
#[derive(Debug)]
pub(super) struct TestResult {
    delivery: DeliveryId,
    kind: &'static str,
    /// `None` while it is under way.
    shown: Option<Shown>,
    duration: Option<String>,
}

impl TestPart {
    pub(super) fn new(
        who: &SignedIn,
        endpoint: &EndpointView,
        dialect: &dyn Dialect,
        answered: Answered,
        result: Option<TestResult>,
    ) -> Self {
        let wanted = match &endpoint.events {
            EventFilter::Only(kinds) => kinds.clone(),
            EventFilter::All => EventKind::ALL.to_vec(),
        };
        let kinds = wanted.into_iter().filter(|kind| dialect.applies(*kind));
        Self {
            id: endpoint.id.to_string(),
            form_token: who.form_token.clone(),
            kinds: kinds.map(EventKind::as_str).collect(),
            in_another_tab: answered == Answered::InAnotherTab,
            result,
        }
    }
}

impl TestResult {
    fn of(delivery: &DeliveryView) -> Self {
        let attempt = delivery.attempts.last().filter(|_| delivery.state.is_final());
        Self {
            delivery: delivery.id,
            kind: delivery.kind.as_str(),
            shown: attempt.map(words::attempt),
            duration: attempt.and_then(|attempt| attempt.duration_millis).map(when::took),
        }
    }
}

/// The test that a query names, where it is one of the endpoint's.
pub(super) async fn named(
    shared: &Inner,
    who: &SignedIn,
    endpoint: &EndpointView,
    id: &str,
) -> Result<Option<TestResult>, crate::pages::errors::PageError> {
    let Ok(id) = DeliveryId::parse(id) else { return Ok(None) };
    let log = shared.app.storage.delivery_log();
    let found = log.delivery(who.caller().organization, id).await?;
    let found = found.filter(|found| found.delivery.endpoint == endpoint.id);
    Ok(found.map(|found| TestResult::of(&found.delivery)))
}

/// `POST /endpoints/{id}/test`: answers when the attempt has ended; the endpoint's page then shows it.
pub(crate) async fn send(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    form: Form,
) -> Answer {
    let endpoint = find(&shared, &who, &id).await?;
    let dialect = super::dialect_of(&endpoint)?;
    let kind = EventKind::parse(form.text("type")).filter(|kind| dialect.applies(*kind));
    let delivery = send_test(&shared, &who.caller(), &endpoint, kind).await?;
    Ok(see_other(&format!("{}?test={}#test-result", path(endpoint.id), delivery.id)))
}
