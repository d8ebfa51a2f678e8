//! Who looks at a page: the session behind the cookie, and what its user's role allows.

use std::marker::PhantomData;
use std::ops::Deref;

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller, Scope};
use abide_storage::one_time::PresentedToken;
use abide_storage::users::Session;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method};

use super::cookies::form_token;
use super::errors::PageError;
use super::layout::{Layout, Section};
use super::shown_once::ShownOnce;
use crate::caller::Needed;
use crate::router::{Inner, Shared};

/// How old a session's last noted use may be before the next is noted: most requests write nothing.
const NOTED_MILLIS: i64 = 5 * 60 * 1_000;
/// The header of requests that the script makes by itself.
const REFRESH: &str = "x-abide-refresh";

/// Somebody signed in. A handler that takes it is for every role.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) session: Session,
    /// For the forms of their pages.
    pub(crate) form_token: String,
    /// What the page before has to say.
    pub(crate) notice: Option<String>,
    /// What their pages hand on to each other to be shown once.
    pub(crate) shown_once: ShownOnce,
}

/// Somebody signed in whose role covers the scope `S`. A handler that takes it cannot forget to ask for the scope.
#[derive(Debug)]
pub(crate) struct Allowed<S> {
    who: SignedIn,
    scope: PhantomData<S>,
}

impl SignedIn {
    /// Who they are to the store.
    pub(crate) fn caller(&self) -> Caller {
        let user = &self.session.user;
        Caller::new(user.organization, Actor::User(user.id))
    }

    /// Whether their role covers a scope.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.session.user.role.covers(scope)
    }

    /// What surrounds a page of theirs.
    pub(crate) fn layout(&self, here: Section) -> Layout {
        Layout::new(self, here)
    }
}

impl<S> Deref for Allowed<S> {
    type Target = SignedIn;

    fn deref(&self) -> &SignedIn {
        &self.who
    }
}

impl FromRequestParts<Shared> for SignedIn {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, PageError> {
        let now = shared.app.clock.now();
        find(shared, &parts.headers, now).await?.ok_or_else(|| {
            // A form is not sent again by itself after signing in, so its path leads nowhere.
            let back = parts.uri.path_and_query().filter(|_| parts.method == Method::GET);
            PageError::ToSignIn(back.map_or("/", |path| path.as_str()).to_owned())
        })
    }
}

impl<S: Needed> FromRequestParts<Shared> for Allowed<S> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, PageError> {
        let who = SignedIn::from_request_parts(parts, shared).await?;
        match S::SCOPE {
            Some(scope) if !who.may(scope) => Err(PageError::Forbidden(scope)),
            Some(_) | None => Ok(Self { who, scope: PhantomData }),
        }
    }
}

/// Who the cookie's session belongs to; `None` where there is none that is good.
pub(crate) async fn find(
    shared: &Inner,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<SignedIn>, PageError> {
    let cookies = shared.app.dashboard.cookies;
    let Some(cookie) = cookies.session_of(headers) else { return Ok(None) };
    let Some(token) = PresentedToken::parse(cookie) else { return Ok(None) };
    let users = shared.app.storage.users();
    let session = users.session(token.id(), now).await?;
    if !token.opens(session.as_ref().map(|session| &session.secret)) {
        return Ok(None);
    }
    let Some(session) = session else { return Ok(None) };
    // A page that looks again by itself keeps nobody signed in.
    let by_hand = !headers.contains_key(REFRESH);
    if by_hand && now.millis_since(session.last_seen_at) >= NOTED_MILLIS {
        users.note_use(session.id, now).await?;
    }
    let (form_token, notice) = (form_token(cookie), cookies.notice_of(headers));
    let shown_once = ShownOnce::of(session.id, cookie, cookies.shown_once_of(headers));
    Ok(Some(SignedIn { session, form_token, notice, shown_once }))
}
