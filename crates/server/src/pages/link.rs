//! `/link/{token}`: a password chosen by one-time link, for an invitation or in place of a forgotten one.
//! `/welcome/{token}`: the first owner.
//!
//! Looking at a link uses nothing up, since mail programs look at links too; only the form does.

use abide_core::Refusal;
use abide_core::ids::{Organization, User as UserKind};
use abide_core::user::{Role, UserState, check_email, check_name, check_password};
use abide_storage::StorageError;
use abide_storage::one_time::PresentedToken;
use abide_storage::users::{LinkHolder, NewUser, OwnerOffer};
use askama::Template;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};

use super::errors::PageError;
use super::field::{Field, Problems};
use super::form::{Fields, VisitorForm};
use super::sign_in::{Visit, end};
use super::{Answer, page_with};
use crate::router::{Inner, Shared};

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    form_token: String,
    is_invitation: bool,
    name: String,
    email: String,
    organization: String,
    password: Field,
    repeated: Field,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    form_token: String,
    organization: String,
    name: Field,
    email: Field,
    password: Field,
    repeated: Field,
}

#[derive(Template)]
#[template(path = "link_gone.html")]
struct GonePage {}

/// `GET /link/{token}`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let Some((holder, _)) = holder(&shared, &token).await? else { return gone() };
    show(&shared, &headers, StatusCode::OK, holder, &Problems::default())
}

fn show(
    shared: &Inner,
    headers: &HeaderMap,
    status: StatusCode,
    holder: LinkHolder,
    problems: &Problems,
) -> Answer {
    let visit = Visit::of(shared, headers);
    let [password, repeated] = passwords(problems);
    let page = LinkPage {
        form_token: visit.form_token(),
        is_invitation: holder.user.state == UserState::Invited,
        name: holder.user.name,
        email: holder.user.email,
        organization: holder.organization_uri,
        password,
        repeated,
    };
    Ok(visit.on(shared, page_with(status, &page)?))
}

/// `POST /link/{token}`.
pub(crate) async fn set_password(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    headers: HeaderMap,
    form: VisitorForm,
) -> Answer {
    let Some((holder, token)) = holder(&shared, &token).await? else { return gone() };
    let mut problems = Problems::default();
    judge_password(&form, &holder.user.email, &mut problems)?;
    if !problems.is_empty() {
        return show(&shared, &headers, StatusCode::BAD_REQUEST, holder, &problems);
    }
    let app = &shared.app;
    let password = shared.passwords.hash(form.text("password").to_owned(), &*app.chance).await?;
    let users = app.storage.users();
    match users.redeem_link(token.id(), token.hash(), password, app.clock.now()).await {
        Ok(_) => Ok(end(&shared, "Your password is set. Sign in with it.")),
        Err(error) => used_meanwhile(error),
    }
}

/// `GET /welcome/{token}`.
pub(crate) async fn welcome_page(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let Some((offer, _)) = offer(&shared, &token).await? else { return gone() };
    welcome(&shared, &headers, StatusCode::OK, offer, ["", ""], &Problems::default())
}

fn welcome(
    shared: &Inner,
    headers: &HeaderMap,
    status: StatusCode,
    offer: OwnerOffer,
    [name, email]: [&str; 2],
    problems: &Problems,
) -> Answer {
    let visit = Visit::of(shared, headers);
    let [password, repeated] = passwords(problems);
    let page = WelcomePage {
        form_token: visit.form_token(),
        organization: offer.organization_uri,
        name: Field::text("name", "Your name", name).filled_with("name").judged(problems),
        email: Field::email("E-mail", email)
            .hinted("You sign in with it. Abide sends no mail there.")
            .filled_with("username")
            .judged(problems),
        password,
        repeated,
    };
    Ok(visit.on(shared, page_with(status, &page)?))
}

/// `POST /welcome/{token}`.
pub(crate) async fn take_ownership(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    headers: HeaderMap,
    form: VisitorForm,
) -> Answer {
    let Some((offer, token)) = offer(&shared, &token).await? else { return gone() };
    let (name, email) = (form.text("name"), form.text("email"));
    let mut problems = Problems::default();
    problems.note(check_name(name))?;
    problems.note(check_email(email))?;
    judge_password(&form, email, &mut problems)?;
    if !problems.is_empty() {
        return welcome(
            &shared,
            &headers,
            StatusCode::BAD_REQUEST,
            offer,
            [name, email],
            &problems,
        );
    }
    let app = &shared.app;
    let password = shared.passwords.hash(form.text("password").to_owned(), &*app.chance).await?;
    let new = NewUser { email: email.to_owned(), name: name.to_owned(), role: Role::Owner };
    let users = app.storage.users();
    let now = app.clock.now();
    match users.take_ownership(token.id(), token.hash(), new, password, now).await {
        Ok(_) => Ok(end(&shared, "You are the owner. Sign in with your e-mail and password.")),
        Err(error) => used_meanwhile(error),
    }
}

/// The two fields of a new password.
pub(crate) fn passwords(problems: &Problems) -> [Field; 2] {
    [
        Field::password("password", "New password")
            .hinted("At least 12 characters; several words do well.")
            .filled_with("new-password")
            .judged(problems),
        Field::password("repeated", "The same again").filled_with("new-password").judged(problems),
    ]
}

/// Judges a new password and its repetition.
pub(crate) fn judge_password(
    form: &Fields,
    email: &str,
    problems: &mut Problems,
) -> Result<(), PageError> {
    let password = form.text("password");
    problems.note(check_password(password, email))?;
    if problems.of("password").is_none() && password != form.text("repeated") {
        problems.add("repeated", "is not the same");
    }
    Ok(())
}

async fn holder<'a>(
    shared: &Inner,
    token: &'a str,
) -> Result<Option<(LinkHolder, PresentedToken<'a, UserKind>)>, PageError> {
    let Some(token) = PresentedToken::parse(token) else { return Ok(None) };
    let found = shared.app.storage.users().link_holder(token.id(), shared.app.clock.now()).await?;
    let opens = token.opens(found.as_ref().map(|holder| &holder.secret));
    Ok(found.filter(|_| opens).map(|holder| (holder, token)))
}

async fn offer<'a>(
    shared: &Inner,
    token: &'a str,
) -> Result<Option<(OwnerOffer, PresentedToken<'a, Organization>)>, PageError> {
    let Some(token) = PresentedToken::parse(token) else { return Ok(None) };
    let found = shared.app.storage.users().owner_offer(token.id(), shared.app.clock.now()).await?;
    let opens = token.opens(found.as_ref().map(|offer| &offer.secret));
    Ok(found.filter(|_| opens).map(|offer| (offer, token)))
}

fn used_meanwhile(error: StorageError) -> Answer {
    match error {
        StorageError::Refused(Refusal::NotFound(_)) => gone(),
        other => Err(other.into()),
    }
}

/// One answer for a link that was used, ran out, was replaced or never was.
fn gone() -> Answer {
    page_with(StatusCode::GONE, &GonePage {})
}
