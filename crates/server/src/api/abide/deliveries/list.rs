//! `GET /abide/v1/deliveries`: deliveries, newest first (P24, SW-19).

use abide_core::Timestamp;
use abide_core::access::Scope;
use abide_core::delivery::DeliveryState;
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, Endpoint, Event, Id, Kind};
use abide_storage::delivery_log::DeliveryFilter;
use axum::extract::State;
use http::Uri;

use super::schema::schema;
use super::{DeliveryObject, ENDPOINT, FROM, GROUP, UNTIL, state_names};
use crate::api::abide::answer::{Answer, page_until};
use crate::api::abide::cursor::{CURSOR, LIMIT, List, Window};
use crate::api::abide::describe::{self, Operation, id, optional, page_of, text, time};
use crate::caller::{By, WebhooksRead};
use crate::input::{Name, Params, event_kind, one_of};
use crate::router::Shared;

const STATE: Name = Name(&["state"]);
const TYPE: Name = Name(&["type"]);
const EVENT: Name = Name(&["event"]);

pub(crate) fn about() -> Operation {
    let kinds = describe::one_of(EventKind::ALL.map(EventKind::as_str));
    Operation::new("list_deliveries", GROUP, "List deliveries", page_of(schema()))
        .says(
            "Newest first. A page looks at a bounded number of deliveries: it can hold fewer than `limit`, even none, \
             while `next_cursor` is there.",
        )
        .scope(Scope::WebhooksRead)
        .filters(vec![
            optional("endpoint", id::<Endpoint>(), "Only deliveries to this endpoint."),
            optional("state", text(), "Only those in this state, or in one of several with commas between."),
            optional("type", kinds, "Only those of events of this type."),
            optional("event", id::<Event>(), "Only those of this event."),
            optional("from", time(), "Only those made at this time or later."),
            optional("until", time(), "Only those made before this time."),
        ])
        .pages()
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    uri: Uri,
) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[ENDPOINT, STATE, TYPE, EVENT, FROM, UNTIL, LIMIT, CURSOR]);
    let filter = DeliveryFilter {
        endpoint: params.take(ENDPOINT, read_id),
        states: params.take(STATE, states).unwrap_or_default(),
        kind: params.take(TYPE, event_kind),
        event: params.take(EVENT, read_id),
        from: params.take(FROM, read_time),
        until: params.take(UNTIL, read_time),
    };
    let window = Window::read(List::Deliveries, &mut params)?;
    let (filter, window) = params.finish((filter, window))?;
    let before = window.after.map(DeliveryId::from_key);
    let log = shared.app.storage.delivery_log();
    let found = log.list(by.caller.organization, &filter, before, window.limit).await?;
    page_until(&window, found.items, found.next, DeliveryObject::from)
}

/// An id in a query.
pub(crate) fn read_id<K: Kind>(text: &str) -> Result<Id<K>, String> {
    Id::parse(text).map_err(|problem| problem.to_string())
}

/// An instant in a query.
pub(crate) fn read_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|problem| problem.to_string())
}

fn states(text: &str) -> Result<Vec<DeliveryState>, String> {
    let parse = |name: &str| {
        DeliveryState::parse(name.trim()).ok_or_else(|| one_of(state_names().into_iter()))
    };
    text.split(',').map(parse).collect()
}
