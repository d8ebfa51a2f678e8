//! `/account`: the signed-in person's own name, password and sessions.

use abide_core::Refusal;
use abide_core::ids::SessionId;
use abide_core::user::check_name;
use abide_storage::StorageError;
use abide_storage::users::{SessionView, UserPatch, Whose};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;

use super::errors::PageError;
use super::field::{Field, Problems};
use super::form::Form;
use super::layout::{Layout, Section};
use super::link::{judge_password, passwords};
use super::sign_in::end;
use super::signed_in::SignedIn;
use super::{Answer, page_with, see_other_with};
use crate::passwords::Verdict;
use crate::router::{Inner, Shared};
use crate::throttle::Place;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    layout: Layout,
    email: String,
    role: &'static str,
    meaning: &'static str,
    name: Field,
    current: Field,
    password: Field,
    repeated: Field,
    sessions: Vec<SessionRow>,
}

struct SessionRow {
    id: SessionId,
    browser: String,
    signed_in: String,
    used: String,
    is_this: bool,
}

/// `GET /account`.
pub(crate) async fn page(State(shared): State<Shared>, who: SignedIn) -> Answer {
    let name = who.session.user.name.clone();
    show(&shared, &who, StatusCode::OK, &name, &Problems::default()).await
}

async fn show(
    shared: &Inner,
    who: &SignedIn,
    status: StatusCode,
    name: &str,
    problems: &Problems,
) -> Answer {
    let user = &who.session.user;
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    let sessions = users.sessions(user.organization, user.id, now).await?;
    let [password, repeated] = passwords(problems);
    let page = AccountPage {
        layout: who.layout(Section::Account),
        email: user.email.clone(),
        role: user.role.label(),
        meaning: user.role.meaning(),
        name: Field::text("name", "Name", name).filled_with("name").judged(problems),
        current: Field::password("current", "Current password")
            .filled_with("current-password")
            .judged(problems),
        password,
        repeated,
        sessions: sessions.iter().map(|session| row(session, who.session.id)).collect(),
    };
    page_with(status, &page)
}

fn row(session: &SessionView, this: SessionId) -> SessionRow {
    SessionRow {
        id: session.id,
        browser: session.browser.clone(),
        signed_in: session.created_at.to_seconds_text(),
        used: session.last_seen_at.to_seconds_text(),
        is_this: session.id == this,
    }
}

/// `POST /account/name`.
pub(crate) async fn rename(State(shared): State<Shared>, who: SignedIn, form: Form) -> Answer {
    let name = form.text("name");
    let mut problems = Problems::default();
    problems.note(check_name(name))?;
    if !problems.is_empty() {
        return show(&shared, &who, StatusCode::BAD_REQUEST, name, &problems).await;
    }
    let patch = UserPatch { name: Some(name.to_owned()), ..UserPatch::default() };
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    users.change(&who.caller(), who.session.user.id, patch, now).await?;
    Ok(done(&shared, "Your name was changed."))
}

/// `POST /account/password`.
pub(crate) async fn change_password(
    State(shared): State<Shared>,
    who: SignedIn,
    form: Form,
) -> Answer {
    let (app, user) = (&shared.app, &who.session.user);
    let users = app.storage.users();
    let mut problems = Problems::default();
    judge_password(&form, &user.email, &mut problems)?;
    if form.text("current").is_empty() {
        problems.add("current", "is needed");
    }
    if !problems.is_empty() {
        return show(&shared, &who, StatusCode::BAD_REQUEST, &user.name, &problems).await;
    }
    let now = app.clock.now();
    // Whoever sits at an open session may not guess at will either; nor keep its owner from changing it elsewhere.
    let counted_as = shared.throttle_key.blind("session", &who.session.id.to_string());
    if let Err(wait) = shared.throttle.count(counted_as, Place::Nowhere, now) {
        problems.add("current", &format!("was wrong too often; try again in {} s", wait.seconds));
        return show(&shared, &who, StatusCode::TOO_MANY_REQUESTS, &user.name, &problems).await;
    }
    let account = users.account(user.organization, Whose::Id(user.id)).await?;
    let kept = account.and_then(|account| account.password);
    let current = form.text("current").to_owned();
    let verdict = shared.passwords.verify(current, kept.clone(), &*app.chance).await?;
    let (Verdict::Right(_), Some(kept)) = (verdict, kept) else {
        problems.add("current", "is not your password");
        return show(&shared, &who, StatusCode::FORBIDDEN, &user.name, &problems).await;
    };
    shared.throttle.forgive(&counted_as, Place::Nowhere);
    let new = shared.passwords.hash(form.text("password").to_owned(), &*app.chance).await?;
    users.change_password(&who.caller(), user.id, kept, new, who.session.id, now).await?;
    Ok(done(&shared, "Your password was changed. Your other sessions have ended."))
}

/// `POST /account/sessions/{id}/end`.
pub(crate) async fn end_session(
    State(shared): State<Shared>,
    who: SignedIn,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let id = SessionId::parse(&id).map_err(|_| PageError::NotFound)?;
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    match users.end_session(&who.caller(), who.session.user.id, id, now).await {
        // It ended by itself meanwhile: what was asked for is so.
        Ok(()) | Err(StorageError::Refused(Refusal::NotFound(_))) => {}
        Err(error) => return Err(error.into()),
    }
    if id == who.session.id {
        return Ok(end(&shared, "You are signed out."));
    }
    Ok(done(&shared, "That session has ended."))
}

/// `POST /account/sessions/end`.
pub(crate) async fn end_sessions(
    State(shared): State<Shared>,
    who: SignedIn,
    _form: Form,
) -> Answer {
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    users.end_sessions(&who.caller(), who.session.user.id, now).await?;
    Ok(end(&shared, "You are signed out everywhere."))
}

fn done(shared: &Inner, notice: &'static str) -> Response {
    see_other_with("/account", notice, shared.app.dashboard.cookies)
}
