//! `GET /abide/v1/deliveries/{id}`: one delivery with its runs and attempts (P24).

use abide_core::access::Scope;
use abide_core::ids::{Delivery, Kind as _};
use axum::extract::State;

use super::schema::whole_schema;
use super::{GROUP, WholeDelivery};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{By, WebhooksRead};
use crate::input::Named;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_delivery", GROUP, "Read a delivery", whole_schema())
        .says("With its runs, who asked for them, and what each attempt showed.")
        .scope(Scope::WebhooksRead)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    Named(id): Named<Delivery>,
) -> Answer {
    let found = shared.app.storage.delivery_log().delivery(by.caller.organization, id).await?;
    let record = found.ok_or_else(|| Problem::not_found(Delivery::NAME))?;
    ok(&WholeDelivery::from(record))
}
