//! `GET /abide/v1/events/{id}`: one event as it was when it happened.

use abide_core::access::Scope;
use abide_core::ids::{Event, Kind as _};
use axum::extract::State;

use super::{EventObject, GROUP, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{By, ConsentRead};
use crate::input::Named;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_event", GROUP, "Read an event", schema()).scope(Scope::ConsentRead)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentRead>,
    Named(id): Named<Event>,
) -> Answer {
    let found = shared.app.storage.feeds().told_event(by.caller.organization, id).await?;
    let event = found.ok_or_else(|| Problem::not_found(Event::NAME))?;
    ok(&EventObject(event))
}
