//! Abide's own API, under `/abide/v1`.
//!
//! - Bodies and answers are JSON in snake_case; a field that a request does not have is refused, by name.
//! - Times are RFC 3339 in UTC with milliseconds: `2024-01-15T10:30:00.000Z`. What is not there is `null`.
//! - A creation answers 201 with `Location`; secrets are shown in that answer alone.
//! - Lists are `{"items": [...], "next_cursor": "..."}`, read with `limit` and `cursor`; see [`cursor`].
//! - Errors are RFC 9457 documents; see [`crate::problem`].
//!
//! Each verb has a file with two functions: `handler`, and `about`, which describes it. Both stand in one line of
//! [`routes`], out of which the router and the OpenAPI document are made, so that neither can have what the other lacks;
//! a test holds the descriptions against what is really asked and answered.

mod answer;
mod audit;
mod cursor;
mod decisions;
mod deliveries;
mod describe;
pub(crate) mod docs;
pub(crate) mod endpoints;
mod event_kinds;
mod events;
mod export;
mod import;
mod jobs;
mod keys;
mod nodes;
pub(crate) mod openapi;
mod organization;
mod organizations;
mod purposes;
mod retention;
mod stats;
mod subjects;
mod users;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

use crate::router::Shared;
use describe::Operation;

/// One operation: where it is, what does it, and what is said of it.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<Shared>,
    pub(crate) about: Operation,
}

/// Every operation, in the order in which the reference shows them.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        post("/abide/v1/endpoints", endpoints::create::handler, endpoints::create::about),
        get("/abide/v1/endpoints", endpoints::list::handler, endpoints::list::about),
        get("/abide/v1/endpoints/{id}", endpoints::get::handler, endpoints::get::about),
        patch("/abide/v1/endpoints/{id}", endpoints::change::handler, endpoints::change::about),
        delete("/abide/v1/endpoints/{id}", endpoints::delete::handler, endpoints::delete::about),
        post("/abide/v1/endpoints/{id}/pause", endpoints::pause::handler, endpoints::pause::about),
        post(
            "/abide/v1/endpoints/{id}/resume",
            endpoints::resume::handler,
            endpoints::resume::about,
        ),
        post("/abide/v1/endpoints/{id}/test", endpoints::test::handler, endpoints::test::about),
        post(
            "/abide/v1/endpoints/{id}/rotate-secret",
            endpoints::rotate_secret::handler,
            endpoints::rotate_secret::about,
        ),
        post(
            "/abide/v1/endpoints/{id}/end-replaced-secrets",
            endpoints::end_replaced_secrets::handler,
            endpoints::end_replaced_secrets::about,
        ),
        post("/abide/v1/keys", keys::create::handler, keys::create::about),
        get("/abide/v1/keys", keys::list::handler, keys::list::about),
        get("/abide/v1/keys/{id}", keys::get::handler, keys::get::about),
        delete("/abide/v1/keys/{id}", keys::revoke::handler, keys::revoke::about),
        get("/abide/v1/events", events::list::handler, events::list::about),
        get("/abide/v1/events/{id}", events::get::handler, events::get::about),
        get("/abide/v1/event-kinds", event_kinds::list::handler, event_kinds::list::about),
        get("/abide/v1/deliveries", deliveries::list::handler, deliveries::list::about),
        get("/abide/v1/deliveries/{id}", deliveries::get::handler, deliveries::get::about),
        post(
            "/abide/v1/deliveries/{id}/retry",
            deliveries::retry::handler,
            deliveries::retry::about,
        ),
        post("/abide/v1/jobs", jobs::create::handler, jobs::create::about),
        get("/abide/v1/jobs", jobs::list::handler, jobs::list::about),
        get("/abide/v1/jobs/{id}", jobs::get::handler, jobs::get::about),
        post("/abide/v1/jobs/{id}/cancel", jobs::cancel::handler, jobs::cancel::about),
        get("/abide/v1/endpoints/{id}/stats", stats::endpoint::handler, stats::endpoint::about),
        get("/abide/v1/stats", stats::series::handler, stats::series::about),
        get("/abide/v1/decisions", decisions::list::handler, decisions::list::about),
        post("/abide/v1/users", users::invite::handler, users::invite::about),
        get("/abide/v1/users", users::list::handler, users::list::about),
        get("/abide/v1/users/{id}", users::get::handler, users::get::about),
        patch("/abide/v1/users/{id}", users::change::handler, users::change::about),
        post("/abide/v1/users/{id}/disable", users::disable::handler, users::disable::about),
        post("/abide/v1/users/{id}/enable", users::enable::handler, users::enable::about),
        post("/abide/v1/users/{id}/link", users::issue_link::handler, users::issue_link::about),
        post("/abide/v1/purposes", purposes::create::handler, purposes::create::about),
        get("/abide/v1/purposes", purposes::list::handler, purposes::list::about),
        get("/abide/v1/purposes/{id}", purposes::get::handler, purposes::get::about),
        post("/abide/v1/subjects/erase", subjects::erase::handler, subjects::erase::about),
        get("/abide/v1/audit", audit::list::handler, audit::list::about),
        get("/abide/v1/organization", organization::get::handler, organization::get::about),
        patch("/abide/v1/organization", organization::change::handler, organization::change::about),
        delete(
            "/abide/v1/organization",
            organization::delete::handler,
            organization::delete::about,
        ),
        post(
            "/abide/v1/organization/restore",
            organization::restore::handler,
            organization::restore::about,
        ),
        get("/abide/v1/organization/retention", retention::get::handler, retention::get::about),
        patch(
            "/abide/v1/organization/retention",
            retention::change::handler,
            retention::change::about,
        ),
        get("/abide/v1/export", export::get::handler, export::get::about),
        post("/abide/v1/import", import::post::handler, import::post::about),
        post(
            "/abide/v1/organizations",
            organizations::create::handler,
            organizations::create::about,
        ),
        get("/abide/v1/organizations", organizations::list::handler, organizations::list::about),
        get("/abide/v1/nodes", nodes::list::handler, nodes::list::about),
    ]
}

fn get<H: Handler<T, Shared>, T: 'static>(
    path: &'static str,
    handler: H,
    about: fn() -> Operation,
) -> Route {
    Route { method: Method::GET, path, handler: on(MethodFilter::GET, handler), about: about() }
}

fn post<H: Handler<T, Shared>, T: 'static>(
    path: &'static str,
    handler: H,
    about: fn() -> Operation,
) -> Route {
    Route { method: Method::POST, path, handler: on(MethodFilter::POST, handler), about: about() }
}

fn patch<H: Handler<T, Shared>, T: 'static>(
    path: &'static str,
    handler: H,
    about: fn() -> Operation,
) -> Route {
    let handler = on(MethodFilter::PATCH, handler);
    Route { method: Method::PATCH, path, handler, about: about() }
}

fn delete<H: Handler<T, Shared>, T: 'static>(
    path: &'static str,
    handler: H,
    about: fn() -> Operation,
) -> Route {
    let handler = on(MethodFilter::DELETE, handler);
    Route { method: Method::DELETE, path, handler, about: about() }
}
