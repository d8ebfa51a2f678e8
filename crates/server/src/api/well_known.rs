//! `GET /.well-known/webhook-keys/{id}`: the public keys that verify what an endpoint is sent (SW-9), for anybody.
//!
//! A receiver fetches them from the address that it was given with the endpoint, never from one that came with a request.
//! An endpoint without a key pair is as unknown as one that is not there: nothing is told of who exists.

use abide_core::ids::{Endpoint, Kind as _};
use abide_dialects::standard_webhooks::key_set;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;

use crate::input::Named;
use crate::problem::Problem;
use crate::router::Shared;

/// Receivers may keep the keys so long: shorter than any overlap that is worth having.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(crate) async fn webhook_keys(
    State(shared): State<Shared>,
    Named(id): Named<Endpoint>,
) -> Result<Response, Problem> {
    let app = &shared.app;
    let live = app.storage.endpoints().signing_secrets(id, app.clock.now()).await?;
    let secrets: Vec<_> = live.into_iter().map(|live| live.secret.into_inner()).collect();
    let set = key_set(&secrets);
    if set.keys.is_empty() {
        return Err(Problem::not_found(Endpoint::NAME));
    }
    let mut response = Json(set).into_response();
    response.headers_mut().insert(CACHE_CONTROL, KEPT);
    Ok(response)
}
