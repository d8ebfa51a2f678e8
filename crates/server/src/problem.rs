//! Errors on Abide's own paths: RFC 9457 problem documents.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// Why Abide's own API did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Nothing lives at this path.
    NoSuchPath,
    /// The path does not know the method.
    MethodNotAllowed,
    /// Something broke on our side.
    Internal,
}

#[derive(Serialize)]
struct Document {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title, detail) = match self {
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "Not found", "Nothing lives at this path."),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "The `Allow` header names the methods of this path.",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal error",
                "Something broke on our side. The `X-Request-Id` header names this request.",
            ),
        };
        let document = Document { r#type: "about:blank", title, status: status.as_u16(), detail };
        let mut response = (status, axum::Json(document)).into_response();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
