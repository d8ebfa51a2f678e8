//! The organization that the caller's key belongs to.

pub(crate) mod change;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod restore;

use abide_core::ids::{Organization as OrganizationKind, OrganizationId};
use abide_core::organization::OrganizationState;
use abide_storage::accounts::Organization;
use serde::Serialize;

use super::answer::Time;
use super::describe::{Schema, field, flag, id, named, object, one_of, or_null, text_of, time};
use crate::input::Name;

pub(crate) const GROUP: &str = "Organizations";

pub(crate) const NAME: Name = Name(&["name"]);
const STRICT_PURPOSES: Name = Name(&["strict_purposes"]);

/// Longest name, in characters.
pub(crate) const NAME_LIMIT: usize = 100;

/// An organization as this API shows it.
#[derive(Serialize)]
pub(crate) struct OrganizationObject {
    id: OrganizationId,
    uri: String,
    name: Option<String>,
    settings: Settings,
    state: &'static str,
    deletes_at: Option<Time>,
    deleted_at: Option<Time>,
    created_at: Time,
}

#[derive(Serialize)]
struct Settings {
    strict_purposes: bool,
}

impl From<Organization> for OrganizationObject {
    fn from(organization: Organization) -> Self {
        let (deletes_at, deleted_at) = match organization.state {
            OrganizationState::Active => (None, None),
            OrganizationState::Deleting { deletes_at } => (Some(deletes_at), None),
            OrganizationState::Deleted { deleted_at } => (None, Some(deleted_at)),
        };
        Self {
            id: organization.id,
            uri: organization.uri,
            name: organization.name,
            settings: Settings { strict_purposes: organization.strict_purposes },
            state: organization.state.as_str(),
            deletes_at: deletes_at.map(Time),
            deleted_at: deleted_at.map(Time),
            created_at: Time(organization.created_at),
        }
    }
}

pub(crate) fn schema() -> Schema {
    let settings = object(vec![field(
        "strict_purposes",
        flag(),
        "Whether a decision for a purpose that nobody created is refused; else it creates the purpose.",
    )]);
    named(
        "Organization",
        object(vec![
            field("id", id::<OrganizationKind>(), "Its id."),
            field("uri", text_of(1, 63), "Its short name in addresses and on the command line."),
            field("name", or_null(text_of(1, 100)), "What people are shown."),
            field("settings", settings, "How it wants things."),
            field(
                "state",
                one_of(OrganizationState::NAMES),
                "`active`; `deleting` while its deletion can be taken back; `deleted`, a mark that it was there.",
            ),
            field(
                "deletes_at",
                or_null(time()),
                "When everything of it goes, while it is `deleting`.",
            ),
            field("deleted_at", or_null(time()), "When its keys were destroyed."),
            field("created_at", time(), "When it was founded."),
        ]),
    )
}
