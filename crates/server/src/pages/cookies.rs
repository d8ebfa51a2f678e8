//! The dashboard's cookies, and the token in each form that belongs to one.
//!
//! Over https they have the `__Host-` prefix: no other host can set them, no other path sees them. Over plain http, which
//! only `--dev` and this machine itself get, browsers would refuse that, so there they have plain names. The mode is the
//! server's, not the request's: a cookie of the other mode is not looked at.

use abide_storage::sealing::Secret;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use abide_core::user::SESSION_LIFE_MILLIS;

/// Whether cookies are for https alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// `Secure`, with the `__Host-` prefix.
    Https,
    /// Neither: for plain http on this machine and in development.
    PlainHttp,
}

const SESSION: &str = "abide-session";
/// Of somebody who is not signed in: their forms belong to it.
const VISIT: &str = "abide-visit";
/// Of a browser that has signed in before.
const DEVICE: &str = "abide-device";
/// How long a browser shows that it has: 90 days since its last sign-in.
const DEVICE_SECONDS: u32 = 90 * 24 * 60 * 60;
const NOTICE: &str = "abide-notice";
/// What the next page shows once, sealed.
const SHOWN_ONCE: &str = "abide-shown-once";
const PREFIX: &str = "__Host-";
/// Longest notice, in bytes before encoding.
const NOTICE_LIMIT: usize = 300;

impl Cookies {
    /// The session's token, as sent.
    pub(crate) fn session_of(self, headers: &HeaderMap) -> Option<&str> {
        self.value(headers, SESSION)
    }

    /// The visitor's mark, as sent.
    pub(crate) fn visit_of(self, headers: &HeaderMap) -> Option<&str> {
        self.value(headers, VISIT).filter(|mark| mark.len() == 43)
    }

    /// What shows that this browser has signed in before, as sent.
    pub(crate) fn device_of(self, headers: &HeaderMap) -> Option<&str> {
        self.value(headers, DEVICE)
    }

    /// The notice to be shown.
    pub(crate) fn notice_of(self, headers: &HeaderMap) -> Option<String> {
        let text = BASE64_URL_SAFE_NO_PAD.decode(self.value(headers, NOTICE)?).ok()?;
        String::from_utf8(text).ok().filter(|text| !text.is_empty() && text.len() <= NOTICE_LIMIT)
    }

    pub(crate) fn session(self, token: &Secret) -> Option<HeaderValue> {
        let seconds = SESSION_LIFE_MILLIS / 1_000;
        let mut cookie = self.cookie(SESSION, token.reveal(), &format!("; Max-Age={seconds}"))?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    pub(crate) fn end_of_session(self) -> Option<HeaderValue> {
        self.cookie(SESSION, "", "; Max-Age=0")
    }

    pub(crate) fn visit(self, mark: &str) -> Option<HeaderValue> {
        self.cookie(VISIT, mark, "")
    }

    pub(crate) fn device(self, mark: &str) -> Option<HeaderValue> {
        let mut cookie = self.cookie(DEVICE, mark, &format!("; Max-Age={DEVICE_SECONDS}"))?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    pub(crate) fn notice(self, text: &str) -> Option<HeaderValue> {
        self.cookie(NOTICE, &BASE64_URL_SAFE_NO_PAD.encode(text), "; Max-Age=60")
    }

    /// What the page before handed on to be shown once, sealed.
    pub(crate) fn shown_once_of(self, headers: &HeaderMap) -> Option<&str> {
        self.value(headers, SHOWN_ONCE)
    }

    pub(crate) fn shown_once(self, sealed: &str) -> Option<HeaderValue> {
        let mut cookie = self.cookie(SHOWN_ONCE, sealed, "; Max-Age=120")?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    pub(crate) fn end_of_shown_once(self) -> Option<HeaderValue> {
        self.cookie(SHOWN_ONCE, "", "; Max-Age=0")
    }

    fn cookie(self, name: &str, value: &str, more: &str) -> Option<HeaderValue> {
        let (prefix, secure) = match self {
            Self::Https => (PREFIX, "; Secure"),
            Self::PlainHttp => ("", ""),
        };
        let text = format!("{prefix}{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}");
        HeaderValue::try_from(text).ok()
    }

    /// The one value of a cookie; sent twice with different values, it has none.
    fn value<'a>(self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = match self {
            Self::Https => format!("{PREFIX}{name}"),
            Self::PlainHttp => name.to_owned(),
        };
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
        let first = values.next()?;
        values.all(|other| other == first).then_some(first)
    }
}

/// Takes a notice back that the answer to this request shows.
pub(crate) fn clear_shown_notice(headers: &HeaderMap) -> Option<HeaderValue> {
    let shown = [Cookies::Https, Cookies::PlainHttp]
        .into_iter()
        .find(|cookies| cookies.value(headers, NOTICE).is_some())?;
    shown.cookie(NOTICE, "", "; Max-Age=0")
}

/// The token of forms that belong to a cookie: it follows from the cookie and does not tell it.
pub(crate) fn form_token(cookie: &str) -> String {
    let hash = Secret::from(format!("form of {cookie}")).hash();
    BASE64_URL_SAFE_NO_PAD.encode(hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn each_mode_reads_its_own_names() {
        let sent = headers(&["a=1; abide-session=plain", "__Host-abide-session=secure;x"]);
        assert_eq!(Cookies::Https.session_of(&sent), Some("secure"));
        assert_eq!(Cookies::PlainHttp.session_of(&sent), Some("plain"));
        let twice = headers(&["abide-session=one; abide-session=two"]);
        assert_eq!(Cookies::PlainHttp.session_of(&twice), None);
        assert_eq!(Cookies::Https.session_of(&headers(&["abide-session=plain"])), None);
    }

    #[test]
    fn a_notice_comes_back_as_it_was() {
        let cookie = Cookies::PlainHttp.notice("Done; “as asked”.").unwrap();
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut sent = HeaderMap::new();
        sent.insert(COOKIE, pair.parse().unwrap());
        assert_eq!(Cookies::PlainHttp.notice_of(&sent).as_deref(), Some("Done; “as asked”."));
        assert!(clear_shown_notice(&sent).unwrap().to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(clear_shown_notice(&HeaderMap::new()), None);
    }

    #[test]
    fn a_form_token_follows_from_its_cookie_alone() {
        assert_eq!(form_token("a"), form_token("a"));
        assert_ne!(form_token("a"), form_token("b"));
        assert!(!form_token("cookie").contains("cookie"));
    }
}
