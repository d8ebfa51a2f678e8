//! Whether this process lives, whether it can work, and what it measures of itself.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::router::Shared;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

/// `GET /healthz`: answering is the proof.
pub(crate) async fn healthz() -> Response {
    Json(Alive { status: "ok" }).into_response()
}

/// `GET /readyz`: 200, or 503 with the reasons.
pub(crate) async fn readyz(State(shared): State<Shared>) -> Response {
    match shared.app.ready.check() {
        Ok(()) => Json(Ready { ready: true, reasons: Vec::new() }).into_response(),
        Err(reasons) => {
            let body = Json(Ready { ready: false, reasons });
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(shared): State<Shared>) -> Response {
    ([(CONTENT_TYPE, OPENMETRICS)], shared.app.storage.metrics().encode()).into_response()
}
