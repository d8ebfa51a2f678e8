//! The dashboard: pages for people who are signed in, and the few that lead there.
//!
//! A page is one module with its handlers and one template in `templates/`. Its handlers take
//! [`Allowed<Scope>`](signed_in::Allowed) where a scope is needed, [`SignedIn`](signed_in::SignedIn) where none is; a
//! handler that changes something takes a [`Form`](form::Form), which no request without the session's own token passes.
//! After a change it answers with [`see_other`], so that reloading repeats nothing.
//!
//! To add a page: its module, its lines in [`routes`], its [`Section`](layout::Section) in the navigation.

pub(crate) mod account;
pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod chart;
pub(crate) mod cookies;
pub(crate) mod cursor;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod errors;
pub(crate) mod field;
pub(crate) mod form;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod layout;
pub(crate) mod link;
pub(crate) mod overview;
pub(crate) mod shown_once;
pub(crate) mod sign_in;
pub(crate) mod signed_in;
pub(crate) mod users;
pub(crate) mod when;
pub(crate) mod words;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

use self::cookies::Cookies;
use self::errors::PageError;
use crate::router::Shared;

/// What a page's handler answers.
pub(crate) type Answer = Result<Response, PageError>;

/// Every path of the dashboard with its methods.
pub(crate) fn routes() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/", get(overview::page)),
        ("/sign-in", get(sign_in::page).post(sign_in::sign_in)),
        ("/sign-out", post(sign_in::sign_out)),
        ("/link/{token}", get(link::page).post(link::set_password)),
        ("/welcome/{token}", get(link::welcome_page).post(link::take_ownership)),
        ("/account", get(account::page)),
        ("/account/name", post(account::rename)),
        ("/account/password", post(account::change_password)),
        ("/account/sessions/end", post(account::end_sessions)),
        ("/account/sessions/{id}/end", post(account::end_session)),
        ("/users", get(users::list).post(users::invite)),
        ("/users/new", get(users::new)),
        ("/users/{id}", get(users::page).post(users::change)),
        ("/users/{id}/disable", post(users::disable)),
        ("/users/{id}/enable", post(users::enable)),
        ("/users/{id}/link", get(users::link).post(users::issue_link)),
        ("/users/{id}/sessions/end", post(users::end_sessions)),
        ("/endpoints", get(endpoints::list::page).post(endpoints::new::create)),
        ("/endpoints/new", get(endpoints::new::page)),
        ("/endpoints/{id}", get(endpoints::one::page).post(endpoints::one::change)),
        (
            "/endpoints/{id}/authentication",
            get(endpoints::authentication::page).post(endpoints::authentication::replace),
        ),
        ("/endpoints/{id}/authentication/remove", post(endpoints::authentication::remove)),
        ("/endpoints/{id}/delete", post(endpoints::deeds::delete)),
        ("/endpoints/{id}/end-replaced-secrets", post(endpoints::deeds::end_replaced_secrets)),
        ("/endpoints/{id}/pause", post(endpoints::deeds::pause)),
        ("/endpoints/{id}/resume", post(endpoints::deeds::resume)),
        ("/endpoints/{id}/rotate", post(endpoints::deeds::rotate)),
        ("/endpoints/{id}/secret", get(endpoints::secret::page)),
        ("/endpoints/{id}/test", post(endpoints::test::send)),
        ("/deliveries", get(deliveries::list::page)),
        ("/deliveries/{id}", get(deliveries::one::page)),
        ("/deliveries/{id}/retry", post(deliveries::one::retry)),
        ("/jobs", get(jobs::list).post(jobs::new::create)),
        ("/jobs/new", get(jobs::new::page)),
        ("/jobs/{id}", get(jobs::page)),
        ("/jobs/{id}/cancel", post(jobs::cancel)),
        ("/keys", get(keys::list).post(keys::create)),
        ("/keys/new", get(keys::new)),
        ("/keys/{id}/credential", get(keys::credential)),
        ("/keys/{id}/revoke", get(keys::confirm).post(keys::revoke)),
        ("/audit", get(audit::page)),
        ("/assets/{file}", get(assets::asset)),
    ]
}

/// The dashboard's routes, every answer of which carries the headers of [`guarded`].
pub(crate) fn router() -> Router<Shared> {
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    router.method_not_allowed_fallback(method_not_allowed).layer(from_fn(after))
}

async fn method_not_allowed() -> Response {
    PageError::MethodNotAllowed.into_response()
}

/// What every answer of the dashboard passes through. A notice that a page has shown is taken back.
async fn after(request: Request, next: Next) -> Response {
    let clear = cookies::clear_shown_notice(request.headers());
    let mut response = guarded(next.run(request).await);
    let is_page = response.status().is_success()
        && response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == HTML);
    if let (Some(clear), true) = (clear, is_page) {
        response.headers_mut().append(SET_COOKIE, clear);
    }
    response
}

const HTML: &str = "text/html; charset=utf-8";
/// Nothing from elsewhere, nothing inline, nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Puts on what browsers are to hold pages to. `same-origin` and not `no-referrer`: under that, browsers send forms of
/// ours with the origin `null`.
pub(crate) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A page.
pub(crate) fn page(template: &impl Template) -> Answer {
    page_with(StatusCode::OK, template)
}

/// A page with a status of its own, such as a form that came back.
pub(crate) fn page_with(status: StatusCode, template: &impl Template) -> Answer {
    let text = template.render().map_err(|_| PageError::broken("a template does not render"))?;
    Ok((status, Html(text)).into_response())
}

/// Sends the browser on to another of our pages, by GET.
pub(crate) fn see_other(path: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    // Paths of ours are ASCII; anything else would be a caller's, and is not followed.
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The same with a notice that the next page shows once: a sentence of ours, nothing personal.
pub(crate) fn see_other_with(path: &str, notice: &'static str, cookies: Cookies) -> Response {
    let mut response = see_other(path);
    if let Some(cookie) = cookies.notice(notice) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
