//! `GET /abide/v1/jobs`: jobs, newest first.

use abide_core::access::Scope;
use abide_core::ids::JobId;
use axum::extract::State;
use http::Uri;

use super::{GROUP, JobObject, schema};
use crate::api::abide::answer::{Answer, page};
use crate::api::abide::cursor::{CURSOR, LIMIT, List, Window};
use crate::api::abide::describe::{Operation, page_of};
use crate::caller::{By, WebhooksRead};
use crate::input::Params;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("list_jobs", GROUP, "List jobs", page_of(schema()))
        .says("Newest first.")
        .scope(Scope::WebhooksRead)
        .pages()
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    uri: Uri,
) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[LIMIT, CURSOR]);
    let window = Window::read(List::Jobs, &mut params)?;
    let window = params.finish(window)?;
    let before = window.after.map(JobId::from_key);
    let jobs = shared.app.storage.jobs();
    let found = jobs.list(by.caller.organization, before, window.wanted()).await?;
    page(&window, found, |job| job.id.key(), JobObject::from)
}
