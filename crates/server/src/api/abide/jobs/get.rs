//! `GET /abide/v1/jobs/{id}`: one job and how far it has come.

use abide_core::access::Scope;
use abide_core::ids::{Job, Kind as _};
use axum::extract::State;

use super::{GROUP, JobObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{By, WebhooksRead};
use crate::input::Named;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_job", GROUP, "Read a job", schema()).scope(Scope::WebhooksRead)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    Named(id): Named<Job>,
) -> Answer {
    let found = shared.app.storage.jobs().get(by.caller.organization, id).await?;
    let job = found.ok_or_else(|| Problem::not_found(Job::NAME))?;
    ok(&JobObject::from(job))
}
