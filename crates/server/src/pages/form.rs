//! Forms that change something: read whole, and only where the browser was given them by us.
//!
//! Two proofs are asked for. Each form holds a token that follows from the sender's own cookie; another site cannot read
//! it. And where the browser says from where a request comes, it must come from here.

use axum::extract::{FromRequest, Request};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Uri};

use super::cookies::form_token;
use super::errors::PageError;
use crate::body::{self, Unread};
use crate::router::Shared;

/// The name of the hidden field with the token.
pub(crate) const TOKEN_FIELD: &str = "form_token";
/// More than any form of ours holds, in bytes: PEM certificates, keys and authorities among them, each sign escaped.
const LIMIT: usize = 512 * 1024;
/// More than any form of somebody who is not signed in holds.
const VISITOR_LIMIT: usize = 64 * 1024;

/// A form sent from a page of somebody signed in. That the session is good, `SignedIn` says.
#[derive(Debug)]
pub(crate) struct Form(Fields);

/// A form sent by somebody who need not be signed in.
#[derive(Debug)]
pub(crate) struct VisitorForm(Fields);

/// The fields of a form, in the order they were sent.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// A field's text, as typed; empty where it was not sent. Sent twice, its first.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Every value of a field, as boxes of one name that are checked send them.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// I11, I12: passwords and addresses are in here.
impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fields(..)")
    }
}

impl std::ops::Deref for Form {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl std::ops::Deref for VisitorForm {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl FromRequest<Shared> for Form {
    type Rejection = PageError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, PageError> {
        let cookie = shared.app.dashboard.cookies.session_of(request.headers()).map(str::to_owned);
        // Without a session there is no such page: the sign-in page says more than "out of date".
        let cookie = cookie.ok_or_else(|| PageError::ToSignIn("/".to_owned()))?;
        read(request, shared, &cookie, LIMIT).await.map(Self)
    }
}

impl FromRequest<Shared> for VisitorForm {
    type Rejection = PageError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, PageError> {
        let cookie = shared.app.dashboard.cookies.visit_of(request.headers()).map(str::to_owned);
        let cookie = cookie.ok_or(PageError::NotOurs)?;
        read(request, shared, &cookie, VISITOR_LIMIT).await.map(Self)
    }
}

async fn read(
    request: Request,
    shared: &Shared,
    cookie: &str,
    limit: usize,
) -> Result<Fields, PageError> {
    if !comes_from_here(request.headers(), &shared.app.dashboard.public_url) {
        return Err(PageError::NotOurs);
    }
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Unread::NotJson.into());
    }
    let (bytes, _share) = body::read(request, limit, &shared.body_room).await?;
    let fields = Fields(form_urlencoded::parse(&bytes).into_owned().collect());
    if !same(fields.text(TOKEN_FIELD), &form_token(cookie)) {
        return Err(PageError::NotOurs);
    }
    Ok(fields)
}

/// Takes the same time for every wrong token of its length.
fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// Whether the request was made by a page of ours, as far as the browser says. One that says nothing is judged by the
/// token alone.
fn comes_from_here(headers: &HeaderMap, public_url: &str) -> bool {
    let said = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let by_site = said("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let by_origin = said(ORIGIN.as_str()).is_none_or(|origin| {
        let host = |url: &str| url.parse::<Uri>().ok()?.authority().map(ToString::to_string);
        let asked = said(HOST.as_str()).map(str::to_owned);
        host(origin).is_some_and(|from| {
            Some(&from) == asked.as_ref() || Some(&from) == host(public_url).as_ref()
        })
    });
    by_site && by_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_from_here_or_nowhere() {
        let judged = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| {
                    (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
                })
                .collect();
            comes_from_here(&headers, "https://abide.example.org")
        };
        let here = ("host", "127.0.0.1:8420");
        for good in [
            &[here][..],
            &[here, ("origin", "http://127.0.0.1:8420"), ("sec-fetch-site", "same-origin")],
            &[here, ("origin", "https://abide.example.org")],
        ] {
            assert!(judged(good), "{good:?}");
        }
        for bad in [
            &[here, ("origin", "http://127.0.0.1:8421")][..],
            &[here, ("origin", "null")],
            &[here, ("origin", "https://evil.example")],
            &[here, ("sec-fetch-site", "same-site")],
            &[here, ("sec-fetch-site", "cross-site")],
            &[here, ("origin", "http://127.0.0.1:8420"), ("sec-fetch-site", "none")],
            &[("origin", "http://127.0.0.1:8420")],
        ] {
            assert!(!judged(bad), "{bad:?}");
        }
    }
}
