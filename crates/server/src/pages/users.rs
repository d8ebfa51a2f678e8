//! `/users`: who signs in to this organization's dashboard. For owners.

use abide_core::Refusal;
use abide_core::ids::UserId;
use abide_core::shell::draw;
use abide_core::user::{Role, UserState, check_email, check_name, link_ends_at};
use abide_storage::one_time::TokenSecret;
use abide_storage::users::{NewLink, NewUser, User, UserPatch, Whose};
use abide_storage::{PageWanted, StorageError};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{StatusCode, Uri};

use super::errors::PageError;
use super::field::{Field, Problems};
use super::form::Form;
use super::layout::{Layout, Section};
use super::shown_once::{Shown, ShownBefore, taken};
use super::signed_in::Allowed;
use super::{Answer, page as answer, page_with, see_other_with};
use crate::caller::Admin;
use crate::problem::sentence;
use crate::router::{Inner, Shared};

/// Users per page of the list.
const PER_PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "users.html")]
struct ListPage {
    layout: Layout,
    users: Vec<Row>,
    total: u64,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "user_new.html")]
struct NewPage {
    layout: Layout,
    name: Field,
    email: Field,
    roles: Vec<Choice>,
    role_problem: Option<String>,
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    layout: Layout,
    user: Row,
    is_me: bool,
    problem: Option<String>,
    name: Field,
    roles: Vec<Choice>,
    role_problem: Option<String>,
}

#[derive(Template)]
#[template(path = "user_link.html")]
struct IssuedPage {
    layout: Layout,
    user: Row,
    url: String,
    expires: String,
}

/// A user as lists and pages show them.
struct Row {
    id: UserId,
    name: String,
    email: String,
    role: &'static str,
    state: UserState,
    created: String,
    signed_in: Option<String>,
    link_until: Option<String>,
}

/// A role to choose.
struct Choice {
    value: &'static str,
    label: &'static str,
    meaning: &'static str,
    is_chosen: bool,
}

/// Where in a list by page somebody is.
pub(crate) struct Pager {
    pub(crate) path: &'static str,
    pub(crate) page: u32,
    pub(crate) pages: u64,
}

impl Row {
    fn of(user: &User) -> Self {
        Self {
            id: user.id,
            name: user.name.clone(),
            email: user.email.clone(),
            role: user.role.label(),
            state: user.state,
            created: user.created_at.to_seconds_text(),
            signed_in: user.last_sign_in_at.map(abide_core::Timestamp::to_seconds_text),
            link_until: user.link_expires_at.map(abide_core::Timestamp::to_seconds_text),
        }
    }
}

fn choices(chosen: Option<Role>) -> Vec<Choice> {
    let choice = |role: Role| Choice {
        value: role.as_str(),
        label: role.label(),
        meaning: role.meaning(),
        is_chosen: chosen == Some(role),
    };
    Role::ALL.into_iter().map(choice).collect()
}

/// `GET /users`.
pub(crate) async fn list(State(shared): State<Shared>, who: Allowed<Admin>, uri: Uri) -> Answer {
    let page = page_asked(&uri);
    let users = shared.app.storage.users();
    let wanted = PageWanted { page, limit: PER_PAGE };
    let found = users.list(who.caller().organization, wanted).await?;
    let pages = found.total.div_ceil(u64::from(PER_PAGE)).max(1);
    if u64::from(page) > pages {
        return Err(PageError::NotFound);
    }
    answer(&ListPage {
        layout: who.layout(Section::Users),
        users: found.items.iter().map(Row::of).collect(),
        total: found.total,
        pager: Pager { path: "/users", page, pages },
    })
}

/// The page of a list that a query asks for; the first where it asks for none that could be.
fn page_asked(uri: &Uri) -> u32 {
    let given: Vec<(String, String)> =
        Query::try_from_uri(uri).map(|Query(given)| given).unwrap_or_default();
    let page =
        given.iter().find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok());
    page.filter(|page| *page > 0).unwrap_or(1)
}

/// `GET /users/new`.
pub(crate) async fn new(who: Allowed<Admin>) -> Answer {
    show_new(&who, StatusCode::OK, ["", ""], None, &Problems::default())
}

fn show_new(
    who: &Allowed<Admin>,
    status: StatusCode,
    [name, email]: [&str; 2],
    role: Option<Role>,
    problems: &Problems,
) -> Answer {
    let page = NewPage {
        layout: who.layout(Section::Users),
        name: Field::text("name", "Name", name).judged(problems),
        email: Field::email("E-mail", email)
            .hinted("They sign in with it. Abide sends no mail: you hand them the link.")
            .judged(problems),
        roles: choices(role),
        role_problem: problems.of("role").map(str::to_owned),
    };
    page_with(status, &page)
}

/// `POST /users`: an invitation; the next page shows its link once.
pub(crate) async fn invite(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    form: Form,
) -> Answer {
    let (name, email) = (form.text("name"), form.text("email"));
    let role = Role::parse(form.text("role"));
    let mut problems = Problems::default();
    problems.note(check_name(name))?;
    problems.note(check_email(email))?;
    if role.is_none() {
        problems.add("role", "choose one");
    }
    if let (Some(role), true) = (role, problems.is_empty()) {
        let app = &shared.app;
        let now = app.clock.now();
        let secret = TokenSecret::mint(&draw(&*app.chance));
        let link =
            NewLink { secret: secret.hash(), expires_at: link_ends_at(UserState::Invited, now) };
        let new = NewUser { email: email.to_owned(), name: name.to_owned(), role };
        match app.storage.users().invite(&who.caller(), new, link, now).await {
            Ok(user) => return Ok(hand_on_link(&shared, &who, &user, &secret)),
            Err(StorageError::Refused(refusal)) => problems.note(Err(refusal))?,
            Err(error) => return Err(error.into()),
        }
    }
    show_new(&who, StatusCode::BAD_REQUEST, [name, email], role, &problems)
}

/// To the page that shows the link once.
fn hand_on_link(
    shared: &Inner,
    who: &Allowed<Admin>,
    user: &User,
    secret: &TokenSecret,
) -> Response {
    let (token, what) = (secret.issue(user.id), Shown::UserLink(user.id.key()));
    let (cookies, now) = (shared.app.dashboard.cookies, shared.app.clock.now());
    who.shown_once.hand_on(&format!("/users/{}/link", user.id), what, &token, cookies, now)
}

/// `GET /users/{id}/link`: the link that was made just now, this once.
pub(crate) async fn link(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
) -> Answer {
    let app = &shared.app;
    let user = find(&shared, &who, &id).await?;
    let Some(token) = who.shown_once.take(Shown::UserLink(user.id.key()), app.clock.now()) else {
        let page = ShownBefore {
            layout: who.layout(Section::Users),
            what: "The link",
            otherwise: "If you have not copied it, make another one on the user's page; it replaces this one.",
            path: format!("/users/{}", user.id),
            label: "To the user",
        };
        return page.answer();
    };
    let row = Row::of(&user);
    let page = IssuedPage {
        layout: who.layout(Section::Users),
        url: app.dashboard.link(&token),
        expires: row.link_until.clone().unwrap_or_default(),
        user: row,
    };
    Ok(taken(answer(&page)?, app.dashboard.cookies))
}

/// `GET /users/{id}`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
) -> Answer {
    let user = find(&shared, &who, &id).await?;
    show(&who, StatusCode::OK, &user, &user.name, Some(user.role), None, &Problems::default())
}

async fn find(shared: &Inner, who: &Allowed<Admin>, id: &str) -> Result<User, PageError> {
    let id = UserId::parse(id).map_err(|_| PageError::NotFound)?;
    let users = shared.app.storage.users();
    let found = users.account(who.caller().organization, Whose::Id(id)).await?;
    found.map(|account| account.user).ok_or(PageError::NotFound)
}

fn show(
    who: &Allowed<Admin>,
    status: StatusCode,
    user: &User,
    name: &str,
    role: Option<Role>,
    problem: Option<String>,
    problems: &Problems,
) -> Answer {
    let page = UserPage {
        layout: who.layout(Section::Users),
        is_me: user.id == who.session.user.id,
        problem,
        name: Field::text("name", "Name", name).judged(problems),
        roles: choices(role),
        role_problem: problems.of("role").map(str::to_owned),
        user: Row::of(user),
    };
    page_with(status, &page)
}

/// `POST /users/{id}`: name and role.
pub(crate) async fn change(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
    form: Form,
) -> Answer {
    let user = find(&shared, &who, &id).await?;
    let (name, role) = (form.text("name"), Role::parse(form.text("role")));
    let mut problems = Problems::default();
    problems.note(check_name(name))?;
    if role.is_none() {
        problems.add("role", "choose one");
    }
    if !problems.is_empty() {
        return show(&who, StatusCode::BAD_REQUEST, &user, name, role, None, &problems);
    }
    let patch = UserPatch { name: Some(name.to_owned()), role };
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    match users.change(&who.caller(), user.id, patch, now).await {
        Ok(_) => Ok(changed(&shared, user.id, "The user was changed.")),
        Err(error) => refused_here(&who, &user, error),
    }
}

/// `POST /users/{id}/disable`.
pub(crate) async fn disable(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let user = find(&shared, &who, &id).await?;
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    match users.disable(&who.caller(), user.id, now).await {
        Ok(_) => Ok(changed(&shared, user.id, "The user is disabled and signed out everywhere.")),
        Err(error) => refused_here(&who, &user, error),
    }
}

/// `POST /users/{id}/enable`.
pub(crate) async fn enable(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let user = find(&shared, &who, &id).await?;
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    users.enable(&who.caller(), user.id, now).await?;
    Ok(changed(&shared, user.id, "The user may sign in again."))
}

/// `POST /users/{id}/link`: a new one-time link, which the next page shows once.
pub(crate) async fn issue_link(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let user = find(&shared, &who, &id).await?;
    let app = &shared.app;
    let now = app.clock.now();
    let secret = TokenSecret::mint(&draw(&*app.chance));
    let link = NewLink { secret: secret.hash(), expires_at: link_ends_at(user.state, now) };
    match app.storage.users().issue_link(&who.caller(), user.id, link, now).await {
        Ok(user) => Ok(hand_on_link(&shared, &who, &user, &secret)),
        Err(error) => refused_here(&who, &user, error),
    }
}

/// `POST /users/{id}/sessions/end`.
pub(crate) async fn end_sessions(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let user = find(&shared, &who, &id).await?;
    let (users, now) = (shared.app.storage.users(), shared.app.clock.now());
    users.end_sessions(&who.caller(), user.id, now).await?;
    Ok(changed(&shared, user.id, "The user is signed out everywhere."))
}

fn changed(shared: &Inner, user: UserId, notice: &'static str) -> Response {
    see_other_with(&format!("/users/{user}"), notice, shared.app.dashboard.cookies)
}

/// A change that does not fit the present state is told on the user's own page.
fn refused_here(who: &Allowed<Admin>, user: &User, error: StorageError) -> Answer {
    match error {
        StorageError::Refused(Refusal::Conflict(text)) => {
            let problem = Some(sentence(&text));
            let role = Some(user.role);
            show(who, StatusCode::CONFLICT, user, &user.name, role, problem, &Problems::default())
        }
        other => Err(other.into()),
    }
}
