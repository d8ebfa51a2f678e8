//! The people who sign in to the dashboard: invited, listed, shut out, given a new link.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::UserId;
use abide_core::shell::draw;
use abide_core::user::{Role, UserState, link_ends_at};
use abide_storage::PageWanted;
use abide_storage::one_time::TokenSecret;
use abide_storage::users::{NewLink, NewUser, User, Whose};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Ground;

/// Users per question to the store.
const PAGE: u32 = 100;

/// A user as lists show them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct UserFacts {
    /// Their id.
    pub(crate) id: UserId,
    /// What they sign in with.
    pub(crate) email: String,
    /// What they are called.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: Role,
    /// Where they stand.
    pub(crate) state: UserState,
    /// When they were invited.
    pub(crate) created_at: String,
    /// When they last signed in, if ever.
    pub(crate) last_sign_in_at: Option<String>,
}

/// A user with a one-time link, which is shown only once (I12).
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct UserLink {
    /// Who holds it.
    #[serde(flatten)]
    pub(crate) user: UserFacts,
    /// The link's path.
    pub(crate) path: String,
    /// Where the serving dashboard is found; `None` from a stopped store.
    pub(crate) public_url: Option<String>,
    /// Until when it is good.
    pub(crate) expires_at: String,
}

/// Invites somebody.
pub(super) async fn create(ground: &Ground, by: &Caller, new: NewUser) -> anyhow::Result<UserLink> {
    let (secret, now) = (TokenSecret::mint(&draw(&*ground.chance)), ground.clock.now());
    let link = NewLink { secret: secret.hash(), expires_at: link_ends_at(UserState::Invited, now) };
    let user = ground.storage.users().invite(by, new, link, now).await?;
    Ok(linked(ground, &user, &secret, link))
}

/// An organization's users, oldest first.
pub(super) async fn list(ground: &Ground, by: &Caller) -> anyhow::Result<Vec<UserFacts>> {
    let mut users = Vec::new();
    for page in 1.. {
        let wanted = PageWanted { page, limit: PAGE };
        let found = ground.storage.users().list(by.organization, wanted).await?;
        users.extend(found.items.iter().map(facts));
        if wanted.offset() + u64::from(PAGE) >= found.total {
            break;
        }
    }
    Ok(users)
}

/// Shuts a user out.
pub(super) async fn disable(ground: &Ground, by: &Caller, user: &str) -> anyhow::Result<UserFacts> {
    let user = find(ground, by, user).await?;
    Ok(facts(&ground.storage.users().disable(by, user.id, ground.clock.now()).await?))
}

/// Lets a user in again.
pub(super) async fn enable(ground: &Ground, by: &Caller, user: &str) -> anyhow::Result<UserFacts> {
    let user = find(ground, by, user).await?;
    Ok(facts(&ground.storage.users().enable(by, user.id, ground.clock.now()).await?))
}

/// Replaces a user's link.
pub(super) async fn reset(ground: &Ground, by: &Caller, user: &str) -> anyhow::Result<UserLink> {
    let user = find(ground, by, user).await?;
    let (secret, now) = (TokenSecret::mint(&draw(&*ground.chance)), ground.clock.now());
    let link = NewLink { secret: secret.hash(), expires_at: link_ends_at(user.state, now) };
    let user = ground.storage.users().issue_link(by, user.id, link, now).await?;
    Ok(linked(ground, &user, &secret, link))
}

/// By id where it is one, else by address. The error repeats neither.
async fn find(ground: &Ground, by: &Caller, user: &str) -> anyhow::Result<User> {
    let whose = match UserId::parse(user) {
        Ok(id) => Whose::Id(id),
        Err(_) => Whose::Email(user.to_owned()),
    };
    let found = ground.storage.users().account(by.organization, whose).await?;
    let found = found.context("there is no such user: `abide users list` shows them")?;
    Ok(found.user)
}

fn linked(ground: &Ground, user: &User, secret: &TokenSecret, link: NewLink) -> UserLink {
    UserLink {
        user: facts(user),
        path: abide_server::link_path(&secret.issue(user.id)),
        public_url: ground.dashboard.as_ref().map(|dashboard| dashboard.public_url.clone()),
        expires_at: link.expires_at.to_seconds_text(),
    }
}

fn facts(user: &User) -> UserFacts {
    UserFacts {
        id: user.id,
        email: user.email.clone(),
        name: user.name.clone(),
        role: user.role,
        state: user.state,
        created_at: user.created_at.to_seconds_text(),
        last_sign_in_at: user.last_sign_in_at.map(Timestamp::to_seconds_text),
    }
}
