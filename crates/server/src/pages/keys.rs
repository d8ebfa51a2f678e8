//! `/keys`: who calls the API. For owners: a key is made with its scopes, shown once, and revoked.

use abide_core::Timestamp;
use abide_core::access::Scope;
use abide_core::ids::KeyId;
use abide_core::policy::text_field;
use abide_core::rate::RateLimit;
use abide_core::shell::draw;
use abide_storage::accounts::{ApiKey, NewKey};
use abide_storage::{ApiCredential, KeySecret};
use askama::Template;
use axum::extract::{Path, State};
use http::{StatusCode, Uri};

use super::cursor::{Older, asked};
use super::errors::PageError;
use super::field::{Field, Problems};
use super::form::Form;
use super::layout::{Layout, Section};
use super::shown_once::{Shown, ShownBefore, taken};
use super::signed_in::Allowed;
use super::when::When;
use super::words::Badge;
use super::{Answer, page as answer, page_with, see_other_with};
use crate::caller::Admin;
use crate::router::{Inner, Shared};

/// Keys per page.
const PER_PAGE: u32 = 50;
/// Longest name of a key, in characters.
const NAME_LIMIT: usize = 100;
/// The lives that are offered, in days; none is for ever.
const LIVES: [(&str, &str); 4] =
    [("", "never"), ("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year")];
const DAY_MILLIS: i64 = 24 * 3_600 * 1_000;

#[derive(Template)]
#[template(path = "keys.html")]
struct ListPage {
    layout: Layout,
    rows: Vec<Row>,
    older: Older,
}

/// A key in a list.
struct Row {
    id: KeyId,
    name: String,
    scopes: String,
    state: Badge,
    opens: bool,
    created: When,
    used: Option<When>,
    expires: Option<When>,
}

#[derive(Template)]
#[template(path = "key_new.html")]
struct NewPage {
    layout: Layout,
    name: Field,
    scopes: Vec<ScopeRow>,
    scopes_problem: Option<String>,
    lives: Vec<Life>,
    life_problem: Option<String>,
}

struct ScopeRow {
    name: &'static str,
    meaning: &'static str,
    is_chosen: bool,
}

struct Life {
    days: &'static str,
    label: &'static str,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "key_secret.html")]
struct SecretPage {
    layout: Layout,
    name: String,
    api_key: String,
    api_secret: String,
    bearer_token: String,
}

#[derive(Template)]
#[template(path = "key_revoke.html")]
struct RevokePage {
    layout: Layout,
    row: Row,
}

impl Row {
    fn of(key: &ApiKey, now: Timestamp) -> Self {
        let ended = key.expires_at.is_some_and(|end| end <= now);
        let state = match (key.revoked_at, ended) {
            (Some(_), _) => Badge::plain("revoked"),
            (None, true) => Badge::plain("expired"),
            (None, false) => Badge::good("active"),
        };
        let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        Self {
            id: key.id,
            name: key.name.clone(),
            scopes: scopes.join(", "),
            state,
            opens: key.revoked_at.is_none() && !ended,
            created: When(key.created_at),
            used: key.last_used_at.map(When),
            expires: key.expires_at.map(When),
        }
    }
}

/// What a scope allows, in a sentence; `None` for one that only the command line grants.
fn meaning(scope: Scope) -> Option<&'static str> {
    match scope {
        Scope::Admin => Some("Everything in this organization, keys and erasing people included."),
        Scope::ConsentRead => Some("Read consents and policies."),
        Scope::ConsentWrite => Some("Record, change and withdraw consents, and read them."),
        Scope::OrganizationsWrite => None,
        Scope::PoliciesWrite => Some("Create, change and delete policies, and read them."),
        Scope::WebhooksRead => Some("Read endpoints and their deliveries."),
        Scope::WebhooksWrite => Some("Create, change, stop and delete endpoints, and read them."),
        Scope::AuditRead => Some("Read the audit log."),
    }
}

/// `GET /keys`.
pub(crate) async fn list(State(shared): State<Shared>, who: Allowed<Admin>, uri: Uri) -> Answer {
    let place = asked(&uri, "before");
    let after = place.as_deref().and_then(|id| KeyId::parse(id).ok());
    let accounts = shared.app.storage.accounts();
    let mut found = accounts.keys_after(who.caller().organization, after, PER_PAGE + 1).await?;
    let more = found.len() > PER_PAGE as usize;
    found.truncate(PER_PAGE as usize);
    let last = found.last().filter(|_| more).map(|key| key.id.to_string());
    let now = shared.app.clock.now();
    answer(&ListPage {
        layout: who.layout(Section::Keys),
        rows: found.iter().map(|key| Row::of(key, now)).collect(),
        older: Older::new("/keys", &[], place.as_deref(), last),
    })
}

/// `GET /keys/new`.
pub(crate) async fn new(who: Allowed<Admin>) -> Answer {
    show_new(&who, StatusCode::OK, "", &[], "", &Problems::default())
}

fn show_new(
    who: &Allowed<Admin>,
    status: StatusCode,
    name: &str,
    chosen: &[Scope],
    life: &str,
    problems: &Problems,
) -> Answer {
    let scopes = Scope::ALL.into_iter().filter_map(|scope| {
        let is_chosen = chosen.contains(&scope);
        Some(ScopeRow { name: scope.as_str(), meaning: meaning(scope)?, is_chosen })
    });
    let page = NewPage {
        layout: who.layout(Section::Keys),
        name: Field::text("name", "Name", name)
            .hinted("What will call with it: the shop, the app, a script.")
            .judged(problems),
        scopes: scopes.collect(),
        scopes_problem: problems.of("scope").map(str::to_owned),
        lives: LIVES
            .map(|(days, label)| Life { days, label, is_chosen: days == life })
            .into_iter()
            .collect(),
        life_problem: problems.of("life").map(str::to_owned),
    };
    page_with(status, &page)
}

/// `POST /keys`: a new key, which the next page shows once.
pub(crate) async fn create(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    form: Form,
) -> Answer {
    let app = &shared.app;
    let (name, life) = (form.text("name").trim(), form.text("life"));
    let mut scopes: Vec<_> = form.all("scope").filter_map(Scope::parse).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let mut problems = Problems::default();
    if text_field("name", name, NAME_LIMIT).is_err() {
        let problem =
            format!("must be 1 to {NAME_LIMIT} characters, not blank, without control characters");
        problems.add("name", &problem);
    }
    if scopes.is_empty() {
        problems.add("scope", "choose one at least");
    }
    // A page never gives what its user may not do.
    if scopes.iter().any(|scope| meaning(*scope).is_none() || !who.may(*scope)) {
        problems.add("scope", "must not hold what you may not do yourself");
    }
    if !LIVES.iter().any(|(days, _)| *days == life) {
        problems.add("life", "choose one");
    }
    if !problems.is_empty() {
        return show_new(&who, StatusCode::BAD_REQUEST, name, &scopes, life, &problems);
    }
    let now = app.clock.now();
    let days: Option<i64> = life.parse().ok();
    let secret = KeySecret::mint(&draw(app.chance.as_ref()));
    let new = NewKey {
        name: name.to_owned(),
        scopes,
        secret: secret.hash(),
        rate_limit: RateLimit::DEFAULT,
        expires_at: days.map(|days| now.plus_millis(days * DAY_MILLIS)),
    };
    let key = app.storage.accounts().create_key(&who.caller(), new, now).await?;
    let ApiCredential { api_key, api_secret, bearer_token, .. } = secret.issue(key.id);
    let parts = [&api_key, api_secret.reveal(), bearer_token.reveal()].join(" ");
    let (path, cookies) = (format!("/keys/{}/credential", key.id), app.dashboard.cookies);
    let what = Shown::ApiKey(key.id.key());
    Ok(who.shown_once.hand_on(&path, what, &parts.into(), cookies, now))
}

/// `GET /keys/{id}/credential`: what was made just now, this once.
pub(crate) async fn credential(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
) -> Answer {
    let app = &shared.app;
    let key = find(&shared, &who, &id).await?;
    let parts = who.shown_once.take(Shown::ApiKey(key.id.key()), app.clock.now());
    let mut parts = parts.as_ref().map(|parts| parts.reveal().split(' ')).into_iter().flatten();
    let (Some(api_key), Some(api_secret), Some(bearer_token)) =
        (parts.next(), parts.next(), parts.next())
    else {
        let page = ShownBefore {
            layout: who.layout(Section::Keys),
            what: "The key",
            otherwise: "If you have not copied it, revoke it and create another one.",
            path: "/keys".to_owned(),
            label: "To the API keys",
        };
        return page.answer();
    };
    let page = SecretPage {
        layout: who.layout(Section::Keys),
        name: key.name,
        api_key: api_key.to_owned(),
        api_secret: api_secret.to_owned(),
        bearer_token: bearer_token.to_owned(),
    };
    Ok(taken(answer(&page)?, app.dashboard.cookies))
}

async fn find(shared: &Inner, who: &Allowed<Admin>, id: &str) -> Result<ApiKey, PageError> {
    let id = KeyId::parse(id).map_err(|_| PageError::NotFound)?;
    let found = shared.app.storage.accounts().key_of(who.caller().organization, id).await?;
    found.ok_or(PageError::NotFound)
}

/// `GET /keys/{id}/revoke`: what it would be, before it is done.
pub(crate) async fn confirm(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
) -> Answer {
    let key = find(&shared, &who, &id).await?;
    let row = Row::of(&key, shared.app.clock.now());
    answer(&RevokePage { layout: who.layout(Section::Keys), row })
}

/// `POST /keys/{id}/revoke`.
pub(crate) async fn revoke(
    State(shared): State<Shared>,
    who: Allowed<Admin>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let app = &shared.app;
    let key = find(&shared, &who, &id).await?;
    app.storage.accounts().revoke_key(&who.caller(), key.id, app.clock.now()).await?;
    let notice = "The key is revoked: it opens nothing any more.";
    Ok(see_other_with("/keys", notice, app.dashboard.cookies))
}
