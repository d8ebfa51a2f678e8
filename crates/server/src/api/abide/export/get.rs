//! `GET /abide/v1/export`: the whole organization in one document.

use abide_core::access::Scope;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Uri};

use super::{lines, pages};
use crate::api::abide::answer::Answer;
use crate::api::abide::describe::Operation;
use crate::api::abide::organization::GROUP;
use crate::caller::{Admin, By};
use crate::input::Params;
use crate::problem::{Problem, ProblemKind};
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("export_organization", GROUP, "Export your organization", lines::schema())
        .says(
            "JSON Lines: a header, then every policy with its text, every purpose, every decision with what was said, \
             every consent record as it stands, endpoints, keys, users and the audit log; a trailer with counts and a \
             SHA-256 over all lines before it is last, so that a document without it was cut off. Secrets are never in \
             it, and what was erased is not. It holds personal data: keep it as such.\n\n\
             Decisions and the audit log end where they ended when the export began; each part is read page by page, so \
             the others show what stood when their page was read.",
        )
        .scope(Scope::Admin)
        .answers_lines()
        .fails(&[ProblemKind::InvalidField])
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<Admin>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[]);
    params.finish(())?;
    let now = shared.app.clock.now();
    let begun = shared.app.storage.exports().begin(&by.caller, now).await?;
    // A `uri` has letters, digits and `-` alone.
    let name = format!("attachment; filename=\"abide-{}.ndjson\"", begun.organization.uri);
    let name = HeaderValue::try_from(name)
        .map_err(|_| Problem::internal("a `uri` that is no header value".to_owned()))?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (CONTENT_DISPOSITION, name),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = Body::from_stream(pages::pages(shared, begun, now));
    let response: Response = (headers, body).into_response();
    Ok(response)
}
