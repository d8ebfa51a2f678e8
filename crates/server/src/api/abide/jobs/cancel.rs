//! `POST /abide/v1/jobs/{id}/cancel`: stops a job; what is done stays done. Twice is no mistake.

use abide_core::access::Scope;
use abide_core::ids::Job;
use axum::extract::State;

use super::{GROUP, JobObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{By, WebhooksWrite};
use crate::input::Named;
use crate::problem::ProblemKind;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("cancel_job", GROUP, "Stop a job", schema())
        .says("What is done stays done. Stopping a job twice is no mistake; one that is done cannot be stopped.")
        .scope(Scope::WebhooksWrite)
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Job>,
) -> Answer {
    let app = &shared.app;
    let job = app.storage.jobs().cancel(&by.caller, id, app.clock.now()).await?;
    ok(&JobObject::from(job))
}
