//! `GET /abide/v1/purposes/{id}`: one purpose.

use abide_core::access::Scope;
use abide_core::ids::{Kind as _, Purpose};
use axum::extract::State;

use super::{GROUP, PurposeObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{By, ConsentRead};
use crate::input::Named;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_purpose", GROUP, "Read a purpose", schema()).scope(Scope::ConsentRead)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentRead>,
    Named(id): Named<Purpose>,
) -> Answer {
    let found = shared.app.storage.purposes().get(by.caller.organization, id).await?;
    let purpose = found.ok_or_else(|| Problem::not_found(Purpose::NAME))?;
    ok(&PurposeObject::from(purpose))
}
