//! `/sign-in` and `/sign-out`.
//!
//! Whatever is wrong with a sign-in, the answer and its time are the same: an address that nobody has is verified against
//! nobody's password. A session begins with a token drawn at the sign-in, whatever the browser held before.

use std::time::Duration;

use abide_core::Refusal;
use abide_core::access::{Actor, Caller};
use abide_core::ids::OrganizationId;
use abide_core::shell::draw;
use abide_storage::StorageError;
use abide_storage::one_time::TokenSecret;
use abide_storage::sealing::{Secret, normalise_email};
use abide_storage::users::{NewSession, Whose};
use askama::Template;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::header::{RETRY_AFTER, SET_COOKIE, USER_AGENT};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri};

use super::cookies::form_token;
use super::errors::PageError;
use super::field::{Field, Problems};
use super::form::{Form, VisitorForm};
use super::signed_in::{self, SignedIn};
use super::{Answer, page_with, see_other, see_other_with};
use crate::passwords::Verdict;
use crate::peer;
use crate::router::{Inner, Shared};
use crate::throttle::{AccountKey, Place, Wait};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    form_token: String,
    notice: Option<String>,
    problem: Option<String>,
    organization: Option<Field>,
    email: Field,
    password: Field,
    back: String,
    needs_https: bool,
}

/// What was typed, and what came of it.
#[derive(Default)]
struct Typed {
    organization: String,
    email: String,
    back: String,
    problem: Option<String>,
    problems: Problems,
}

/// The sign-in page, leading back to a path of ours afterwards.
pub(crate) fn path_with_return(path: &str) -> String {
    if path == "/" || !is_ours(path) {
        return "/sign-in".to_owned();
    }
    let path: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
    format!("/sign-in?back={path}")
}

/// Whether a path leads to a page of ours and nowhere else: `//host` and `/\host` are other sites to a browser.
fn is_ours(path: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(sound)
}

/// A visitor's mark: the one they hold, or a new one, to be set.
pub(crate) struct Visit {
    mark: String,
    is_new: bool,
}

impl Visit {
    pub(crate) fn of(shared: &Inner, headers: &HeaderMap) -> Self {
        match shared.app.dashboard.cookies.visit_of(headers) {
            Some(mark) => Self { mark: mark.to_owned(), is_new: false },
            None => {
                let mark = BASE64_URL_SAFE_NO_PAD.encode(draw::<32>(&*shared.app.chance));
                Self { mark, is_new: true }
            }
        }
    }

    pub(crate) fn form_token(&self) -> String {
        form_token(&self.mark)
    }

    /// Sets the mark where it is new.
    pub(crate) fn on(&self, shared: &Inner, mut response: Response) -> Response {
        let cookie = shared.app.dashboard.cookies.visit(&self.mark).filter(|_| self.is_new);
        if let Some(cookie) = cookie {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}

/// `GET /sign-in`.
pub(crate) async fn page(State(shared): State<Shared>, request: Request) -> Answer {
    let back = asked_back(request.uri());
    let now = shared.app.clock.now();
    if signed_in::find(&shared, request.headers(), now).await?.is_some() {
        return Ok(see_other(&back));
    }
    show(&shared, request.headers(), StatusCode::OK, Typed { back, ..Typed::default() }).await
}

fn asked_back(uri: &Uri) -> String {
    let given: Vec<(String, String)> =
        Query::try_from_uri(uri).map(|Query(given)| given).unwrap_or_default();
    let back = given.into_iter().find(|(name, _)| name == "back").map(|(_, path)| path);
    back.filter(|path| is_ours(path)).unwrap_or_else(|| "/".to_owned())
}

async fn show(shared: &Inner, headers: &HeaderMap, status: StatusCode, typed: Typed) -> Answer {
    let visit = Visit::of(shared, headers);
    let several = shared.app.storage.accounts().organizations().await?.len() > 1;
    let page = SignInPage {
        form_token: visit.form_token(),
        notice: shared.app.dashboard.cookies.notice_of(headers),
        problem: typed.problem,
        organization: several.then(|| {
            Field::text("organization", "Organization", &typed.organization)
                .hinted("Its short name, as on your invitation.")
                .filled_with("organization")
                .judged(&typed.problems)
        }),
        email: Field::email("E-mail", &typed.email).filled_with("username").judged(&typed.problems),
        password: Field::password("password", "Password")
            .filled_with("current-password")
            .judged(&typed.problems),
        back: typed.back,
        needs_https: shared.app.dashboard.needs_https(),
    };
    Ok(visit.on(shared, page_with(status, &page)?))
}

/// What a sign-in needs of the request beside its form.
pub(crate) struct Sender {
    headers: HeaderMap,
    extensions: Extensions,
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Sender {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self { headers: parts.headers.clone(), extensions: parts.extensions.clone() })
    }
}

/// `POST /sign-in`.
pub(crate) async fn sign_in(
    State(shared): State<Shared>,
    sender: Sender,
    form: VisitorForm,
) -> Answer {
    let (email, password) = (form.text("email").trim(), form.text("password"));
    let back = Some(form.text("back")).filter(|path| is_ours(path)).unwrap_or("/");
    let mut typed = Typed {
        organization: form.text("organization").trim().to_owned(),
        email: email.to_owned(),
        back: back.to_owned(),
        ..Typed::default()
    };
    if email.is_empty() {
        typed.problems.add("email", "is needed");
    }
    if password.is_empty() {
        typed.problems.add("password", "is needed");
    }
    if !typed.problems.is_empty() {
        return show(&shared, &sender.headers, StatusCode::BAD_REQUEST, typed).await;
    }
    match try_to(&shared, &sender, &typed, password).await? {
        Tried::SignedIn { token, device } => {
            let mut response = see_other(&typed.back);
            let cookies = shared.app.dashboard.cookies;
            for cookie in [cookies.session(&token), cookies.device(&device)].into_iter().flatten() {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            Ok(response)
        }
        Tried::Wrong => {
            typed.problem = Some("E-mail or password is wrong.".to_owned());
            show(&shared, &sender.headers, StatusCode::FORBIDDEN, typed).await
        }
        Tried::TooOften(Wait { seconds }) => {
            typed.problem = Some(format!("Too many attempts. Try again in {}.", spelled(seconds)));
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut response = show(&shared, &sender.headers, status, typed).await?;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
    }
}

/// `POST /sign-out`.
pub(crate) async fn sign_out(State(shared): State<Shared>, who: SignedIn, _form: Form) -> Answer {
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    users.end_session(&who.caller(), who.session.user.id, who.session.id, now).await?;
    Ok(end(&shared, "You are signed out."))
}

/// To the sign-in page, without the session's cookie.
pub(crate) fn end(shared: &Inner, notice: &'static str) -> Response {
    let cookies = shared.app.dashboard.cookies;
    let mut response = see_other_with("/sign-in", notice, cookies);
    if let Some(cookie) = cookies.end_of_session() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

enum Tried {
    SignedIn {
        /// Opens the session.
        token: Secret,
        /// Shows from now on that this browser has signed in to the account.
        device: String,
    },
    Wrong,
    TooOften(Wait),
}

async fn try_to(
    shared: &Inner,
    sender: &Sender,
    typed: &Typed,
    password: &str,
) -> Result<Tried, PageError> {
    let app = &shared.app;
    let (users, now) = (app.storage.users(), app.clock.now());
    let organization = organization(shared, &typed.organization).await?;
    let counted_as = account_key(shared, organization, typed);
    let place = place(shared, sender, &counted_as);
    match shared.throttle.count(counted_as, place, now) {
        Err(wait) => return Ok(Tried::TooOften(wait)),
        Ok(Duration::ZERO) => {}
        Ok(pause) => tokio::time::sleep(pause).await,
    }
    let account = match organization {
        Some(of) => users.account(of, Whose::Email(typed.email.clone())).await?,
        None => None,
    };
    let kept = account.as_ref().and_then(|account| account.password.clone());
    let verdict = shared.passwords.verify(password.to_owned(), kept.clone(), &*app.chance).await?;
    let (Verdict::Right(rehashed), Some(account), Some(kept)) = (verdict, account, kept) else {
        return Ok(Tried::Wrong);
    };
    let user = account.user;
    let by = Caller::new(user.organization, Actor::User(user.id));
    let secret = TokenSecret::mint(&draw(&*app.chance));
    let session = NewSession { secret: secret.hash(), browser: browser(&sender.headers) };
    match users.sign_in(&by, user.id, kept, rehashed, session, now).await {
        Ok(session) => {
            shared.throttle.forgive(&counted_as, place);
            let device = shared.throttle_key.mark_device(&counted_as, &*app.chance);
            Ok(Tried::SignedIn { token: secret.issue(session), device })
        }
        // Disabled, or changed in this very moment.
        Err(StorageError::Refused(Refusal::NotFound(_))) => Ok(Tried::Wrong),
        Err(error) => Err(error.into()),
    }
}

/// What an account is counted under, whether it exists or not: names nobody without the key drawn at start. Whatever was
/// typed for an organization, it is counted by what it led to.
fn account_key(shared: &Inner, organization: Option<OrganizationId>, typed: &Typed) -> AccountKey {
    let email = normalise_email(&typed.email);
    match organization {
        Some(id) => shared.throttle_key.blind(&id.to_string(), &email),
        // Not one count for them all: that would tell which names are there.
        None => shared.throttle_key.blind(&format!("named {}", typed.organization), &email),
    }
}

/// Where a try comes from.
fn place(shared: &Inner, sender: &Sender, account: &AccountKey) -> Place {
    let dashboard = &shared.app.dashboard;
    let mark = dashboard.cookies.device_of(&sender.headers);
    if let Some(device) = mark.and_then(|mark| shared.throttle_key.device_of(account, mark)) {
        return Place::Known(device);
    }
    peer::address(&sender.extensions, &sender.headers, &dashboard.trusted_proxies)
        .map_or(Place::Nowhere, Place::Address)
}

/// The organization of that short name, or the only one there is.
async fn organization(shared: &Inner, uri: &str) -> Result<Option<OrganizationId>, PageError> {
    let accounts = shared.app.storage.accounts();
    if !uri.is_empty() {
        return Ok(accounts.organization(uri).await?.map(|found| found.id));
    }
    let all = accounts.organizations().await?;
    Ok(match all.as_slice() {
        [only] => Some(only.id),
        _ => None,
    })
}

fn spelled(seconds: u64) -> String {
    match seconds {
        1 => "a second".to_owned(),
        2..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// A browser in words for its owner, by the names that browsers and systems give themselves.
fn browser(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // Most name others beside themselves, so the order matters.
    let program = named(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = named(&[
        ("Windows", "Windows"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_to_our_own_pages_alone() {
        for (path, expected) in [
            ("/users?page=2", "/sign-in?back=%2Fusers%3Fpage%3D2"),
            ("/", "/sign-in"),
            ("//evil.example/", "/sign-in"),
            ("/\\evil.example/", "/sign-in"),
            ("https://evil.example/", "/sign-in"),
            ("/a\r\nSet-Cookie: x", "/sign-in"),
        ] {
            assert_eq!(path_with_return(path), expected, "{path}");
        }
        for uri in ["/sign-in?back=//evil.example", "/sign-in?back=javascript:x", "/sign-in"] {
            assert_eq!(asked_back(&uri.parse().unwrap()), "/", "{uri}");
        }
        assert_eq!(asked_back(&"/sign-in?back=%2Fusers".parse().unwrap()), "/users");
    }

    #[test]
    fn browsers_are_told_in_words() {
        for (agent, words) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl"),
            ("<script>", "Unknown browser"),
            ("", "Unknown browser"),
        ] {
            let headers = HeaderMap::from_iter([(USER_AGENT, agent.parse().unwrap())]);
            assert_eq!(browser(&headers), words);
        }
    }

    #[test]
    fn waits_are_spelled() {
        for (seconds, words) in
            [(1, "a second"), (32, "32 seconds"), (121, "3 minutes"), (900, "15 minutes")]
        {
            assert_eq!(spelled(seconds), words);
        }
    }
}
