//! `GET /abide/v1/organization/retention`: what the caller's organization keeps for how long.

use axum::extract::State;

use super::{GROUP, RetentionObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{AnyScope, By};
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_retention", GROUP, "Read what is kept for how long", schema())
        .says("Where nothing was said, everything is kept for ever.")
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<AnyScope>) -> Answer {
    let retentions = shared.app.storage.retentions();
    ok(&RetentionObject::from(retentions.retention(by.caller.organization).await?))
}
