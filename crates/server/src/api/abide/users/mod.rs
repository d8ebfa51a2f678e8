//! The people who sign in to the dashboard: invited, read, changed, shut out. A one-time link is shown in the answer that
//! made it and never again (I12).

pub(crate) mod change;
pub(crate) mod disable;
pub(crate) mod enable;
pub(crate) mod get;
pub(crate) mod invite;
pub(crate) mod issue_link;
pub(crate) mod list;

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::{Kind as _, User as UserKind, UserId};
use abide_core::shell::draw;
use abide_core::user::{Role, UserState, link_ends_at};
use abide_storage::one_time::TokenSecret;
use abide_storage::users::{NewLink, User, Whose};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::Time;
use super::describe::{
    Field, Schema, field, id, named, object, one_of as one_of_names, or_null, text, text_of, time,
};
use crate::App;
use crate::input::{FromField, Name, Text, one_of};
use crate::problem::Problem;

const GROUP: &str = "Users";

const EMAIL: Name = Name(&["email"]);
const NAME: Name = Name(&["name"]);
const ROLE: Name = Name(&["role"]);

/// A user as this API shows them.
#[derive(Serialize)]
struct UserObject {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    state: UserState,
    created_at: Time,
    last_sign_in_at: Option<Time>,
    link_expires_at: Option<Time>,
}

/// A user with a link that was just made.
#[derive(Serialize)]
struct WithLink {
    #[serde(flatten)]
    user: UserObject,
    link: Option<String>,
}

impl From<&User> for UserObject {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            email: user.email.clone(),
            name: user.name.clone(),
            role: user.role,
            state: user.state,
            created_at: Time(user.created_at),
            last_sign_in_at: user.last_sign_in_at.map(Time),
            link_expires_at: user.link_expires_at.map(Time),
        }
    }
}

/// Draws a link for somebody in that state.
fn new_link(app: &App, state: UserState, now: Timestamp) -> (TokenSecret, NewLink) {
    let secret = TokenSecret::mint(&draw(app.chance.as_ref()));
    let link = NewLink { secret: secret.hash(), expires_at: link_ends_at(state, now) };
    (secret, link)
}

/// A user of the caller's organization.
async fn find(app: &App, by: &Caller, id: UserId) -> Result<User, Problem> {
    let found = app.storage.users().account(by.organization, Whose::Id(id)).await?;
    found.map(|account| account.user).ok_or_else(|| Problem::not_found(UserKind::NAME))
}

impl FromField for Role {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let Text(name) = Text::read(raw)?;
        Self::parse(&name).ok_or_else(|| one_of(Self::ALL.iter().map(|role| role.as_str())))
    }
}

fn roles() -> Schema {
    one_of_names(Role::ALL.iter().map(|role| role.as_str()))
}

fn fields() -> Vec<Field> {
    let states = one_of_names(["invited", "active", "disabled"]);
    vec![
        field("id", id::<UserKind>(), "Their id."),
        field("email", text(), "What they sign in with."),
        field("name", text_of(1, 100), "What they are called."),
        field("role", roles(), "What they may do."),
        field(
            "state",
            states,
            "`invited` until they chose a password; `disabled` users are shut out.",
        ),
        field("created_at", time(), "When they were invited."),
        field("last_sign_in_at", or_null(time()), "When they last signed in."),
        field("link_expires_at", or_null(time()), "Until when their one-time link is good."),
    ]
}

fn schema() -> Schema {
    named("User", object(fields()))
}

fn schema_with_link() -> Schema {
    let mut fields = fields();
    fields.push(field(
        "link",
        or_null(text()),
        "The one-time link by which they choose a password, shown this once; null where the answer is repeated for an \
         `Idempotency-Key`.",
    ));
    named("UserWithLink", object(fields))
}
