//! What is shown once, on the page that follows the form which made it: secrets, keys, links (I12).
//!
//! The form answers with a redirect, so that reloading repeats no change; the page it leads to shows what was made, and
//! reloading that shows it no more. On the way between the two it is in a cookie and nowhere else, sealed under a key that
//! follows from the session's own token, of which the store has a hash alone. So it opens in this session only, at its own
//! page, for two minutes; every process that shares the store can open it, none keeps anything, and nothing of it is ever
//! written to the database or to an address. The page that shows it takes the cookie back.

use std::fmt;

use abide_core::Timestamp;
use abide_core::ids::SessionId;
use abide_storage::sealing::{self, Place, SealingKey, Secret};
use askama::Template;
use axum::response::Response;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::StatusCode;
use http::header::SET_COOKIE;

use super::cookies::Cookies;
use super::layout::Layout;
use super::{Answer, page_with, see_other};

/// How long the page may be on its way.
const LIFE_MILLIS: i64 = 2 * 60 * 1_000;

/// What is shown, and of which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The secret of a new endpoint, by the endpoint's key.
    EndpointSecret(i64),
    /// The secret that replaced another.
    RotatedSecret(i64),
    /// The credential of a new API key.
    ApiKey(i64),
    /// A user's one-time link.
    UserLink(i64),
}

impl Shown {
    fn place(self) -> Place {
        let (column, row) = match self {
            Self::EndpointSecret(row) => ("endpoint_secret", row),
            Self::RotatedSecret(row) => ("rotated_secret", row),
            Self::ApiKey(row) => ("api_key", row),
            Self::UserLink(row) => ("user_link", row),
        };
        Place { table: "shown_once", column, row }
    }
}

/// What a session's pages hand on to each other.
pub(crate) struct ShownOnce {
    key: SealingKey,
    sent: Option<String>,
}

/// I12: not even what is sealed.
impl fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownOnce(..)")
    }
}

impl ShownOnce {
    /// Of the session with this token; `sent` is the cookie of that purpose.
    pub(crate) fn of(session: SessionId, token: &str, sent: Option<&str>) -> Self {
        let bytes = Secret::from(format!("shown once of {token}")).hash().0;
        let key = SealingKey::new(sealing::KeyId::of_row(session.key()), &bytes);
        Self { key, sent: sent.map(str::to_owned) }
    }

    /// Sends the browser on to the page that shows it.
    pub(crate) fn hand_on(
        &self,
        path: &str,
        what: Shown,
        secret: &Secret,
        cookies: Cookies,
        now: Timestamp,
    ) -> Response {
        let until = now.plus_millis(LIFE_MILLIS).as_millis();
        let plain = Secret::from(format!("{until} {}", secret.reveal()));
        let sealed = self.key.seal(&what.place(), plain.reveal().as_bytes());
        let mut response = see_other(path);
        if let Some(cookie) = cookies.shown_once(&BASE64_URL_SAFE_NO_PAD.encode(sealed)) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    /// What the form before handed on, where it is that and still fresh.
    pub(crate) fn take(&self, what: Shown, now: Timestamp) -> Option<Secret> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(self.sent.as_deref()?).ok()?;
        let plain = self.key.open(&what.place(), &sealed).ok()?;
        let plain = Secret::from(String::from_utf8(plain).ok()?);
        let (until, secret) = plain.reveal().split_once(' ')?;
        let until: i64 = until.parse().ok()?;
        (now.as_millis() < until).then(|| Secret::from(secret.to_owned()))
    }
}

/// The answer that shows it, which takes the cookie back.
pub(crate) fn taken(mut response: Response, cookies: Cookies) -> Response {
    if let Some(cookie) = cookies.end_of_shown_once() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The page in the place of one that was seen already.
#[derive(Template)]
#[template(path = "shown_before.html")]
pub(crate) struct ShownBefore {
    pub(crate) layout: Layout,
    /// "The secret", "The key".
    pub(crate) what: &'static str,
    /// What to do without it.
    pub(crate) otherwise: &'static str,
    /// Where that is done, and what leads there.
    pub(crate) path: String,
    pub(crate) label: &'static str,
}

impl ShownBefore {
    pub(crate) fn answer(&self) -> Answer {
        page_with(StatusCode::GONE, self)
    }
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn handed_on(by: &ShownOnce, what: Shown) -> String {
        let secret = Secret::from("hidden-marker".to_owned());
        let response = by.hand_on("/x", what, &secret, Cookies::Https, now());
        assert_eq!(response.headers()[LOCATION], "/x");
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("Secure"), "{cookie}");
        assert!(!cookie.contains("hidden-marker"));
        cookie.split(';').next().unwrap().split_once('=').unwrap().1.to_owned()
    }

    /// I12: what is handed on opens in its session, at its page and for its time alone, and is in no log.
    #[test]
    fn i12_a_secret_is_handed_on_to_its_page_alone() {
        let session = SessionId::from_key(1);
        let what = Shown::EndpointSecret(7);
        let sealed = handed_on(&ShownOnce::of(session, "token", None), what);
        let take = |session, token: &str, what, after| {
            let pages = ShownOnce::of(session, token, Some(&sealed));
            assert_eq!(format!("{pages:?}"), "ShownOnce(..)");
            pages.take(what, now().plus_millis(after)).map(|secret| secret.reveal().to_owned())
        };
        assert_eq!(take(session, "token", what, 0).as_deref(), Some("hidden-marker"));
        assert_eq!(take(session, "token", what, LIFE_MILLIS - 1).as_deref(), Some("hidden-marker"));
        assert_eq!(take(session, "token", what, LIFE_MILLIS), None);
        assert_eq!(take(session, "another", what, 0), None);
        assert_eq!(take(SessionId::from_key(2), "token", what, 0), None);
        for other in [
            Shown::EndpointSecret(8),
            Shown::RotatedSecret(7),
            Shown::ApiKey(7),
            Shown::UserLink(7),
        ] {
            assert_eq!(take(session, "token", other, 0), None, "{other:?}");
        }
        for broken in ["", "x", "####", &sealed[1..]] {
            assert!(ShownOnce::of(session, "token", Some(broken)).take(what, now()).is_none());
        }
        assert!(ShownOnce::of(session, "token", None).take(what, now()).is_none());
    }
}
