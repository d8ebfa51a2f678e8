//! What the command line does to the data: one function per deed, the same whether a running server carries it out
//! for a caller at its control socket or the command itself does on a stopped store.
//!
//! Operations and their answers travel over that socket as JSON. They have no `Debug`: some name a person, some hold
//! a new secret (I11, I12).

mod keys;
mod master_keys;
mod nodes;
mod organizations;
mod retention;
mod subjects;
mod users;

use std::path::PathBuf;
use std::sync::Arc;

use abide_core::access::{Actor, Caller, Scope};
use abide_core::ids::KeyId;
use abide_core::rate::RateLimit;
use abide_core::shell::{Chance, Clock};
use abide_core::user::Role;
use abide_server::Dashboard;
use abide_storage::Storage;
use abide_storage::accounts::Organization;
use abide_storage::users::NewUser;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub(crate) use keys::{KeyFacts, MintedKey};
pub(crate) use master_keys::MasterKeyFacts;
pub(crate) use nodes::{LeaseFacts, NodeFacts};
pub(crate) use organizations::OrganizationFacts;
pub(crate) use retention::{Kept, RetentionFacts, WantedRetention};
pub(crate) use users::{UserFacts, UserLink};

/// The organization every first start makes.
pub(crate) const DEFAULT_ORGANIZATION: &str = "default";

/// What operations stand on.
#[derive(Clone)]
pub(crate) struct Ground {
    /// The store.
    pub(crate) storage: Arc<dyn Storage>,
    /// The key file that the store's keys were read from.
    pub(crate) key_file: PathBuf,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Chance.
    pub(crate) chance: Arc<dyn Chance>,
    /// How the dashboard is reached, where a server serves it.
    pub(crate) dashboard: Option<Dashboard>,
}

/// A deed asked for.
#[derive(Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub(crate) enum Operation {
    /// A new API key.
    CreateKey {
        /// Whose, by its short name.
        organization: String,
        /// What its holder is called.
        name: String,
        /// What it may do.
        scopes: Vec<Scope>,
        /// How many requests it may make in a minute.
        rate_limit: RateLimit,
    },
    /// The API keys of an organization.
    ListKeys {
        /// Whose, by its short name.
        organization: String,
    },
    /// An API key that opens nothing from now on.
    RevokeKey {
        /// Which.
        key: KeyId,
    },
    /// A new master key, current from now on.
    AddMasterKey,
    /// Every organization's keys under the current master key.
    RotateMasterKey,
    /// A master key that nothing needs, out of the key file.
    RemoveMasterKey {
        /// Which.
        id: String,
    },
    /// The master keys.
    ListMasterKeys,
    /// Who works on the data.
    ListNodes,
    /// Every organization.
    ListOrganizations,
    /// An organization that goes after some days.
    DeleteOrganization {
        /// Which, by its short name.
        organization: String,
        /// The short name once more.
        confirm: String,
        /// For how many days it can be restored.
        grace_days: u32,
    },
    /// An organization that does not go after all.
    RestoreOrganization {
        /// Which, by its short name.
        organization: String,
    },
    /// What an organization keeps for how long, changed where something is given.
    ChangeRetention {
        /// Which, by its short name.
        organization: String,
        /// The change; what is `None` stays, and what is given as `null` is kept for ever.
        patch: WantedRetention,
    },
    /// A person, erased.
    EraseSubject {
        /// Whose person, by the organization's short name.
        organization: String,
        /// The reference under which the organization knows the person.
        reference: String,
    },
    /// Somebody invited to the dashboard.
    CreateUser {
        /// To whose, by its short name.
        organization: String,
        /// What they sign in with.
        email: String,
        /// What they are called.
        name: String,
        /// What they may do.
        role: Role,
    },
    /// Who signs in to an organization's dashboard.
    ListUsers {
        /// Whose, by its short name.
        organization: String,
    },
    /// A user who may not sign in any more.
    DisableUser {
        /// Whose user, by the organization's short name.
        organization: String,
        /// Their id or their address.
        user: String,
    },
    /// A user who may sign in again.
    EnableUser {
        /// Whose user, by the organization's short name.
        organization: String,
        /// Their id or their address.
        user: String,
    },
    /// A new one-time link for a user.
    ResetUser {
        /// Whose user, by the organization's short name.
        organization: String,
        /// Their id or their address.
        user: String,
    },
}

/// What came of it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case")]
pub(crate) enum Done {
    /// The key with its secrets, shown this once.
    KeyCreated(MintedKey),
    /// Oldest first.
    Keys {
        /// The keys.
        keys: Vec<KeyFacts>,
    },
    /// The key as it now is.
    KeyRevoked(KeyFacts),
    /// The new master key's id.
    MasterKeyAdded {
        /// Its id.
        id: String,
    },
    /// All organizations stand under the current master key.
    MasterKeyRotated {
        /// The current master key.
        current: String,
        /// Organizations whose keys were re-wrapped by this call.
        organizations: u32,
    },
    /// The master key is out of the file.
    MasterKeyRemoved {
        /// Its id.
        id: String,
    },
    /// Oldest first.
    MasterKeys {
        /// The keys.
        keys: Vec<MasterKeyFacts>,
    },
    /// Lowest number first.
    Nodes {
        /// The nodes.
        nodes: Vec<NodeFacts>,
    },
    /// Oldest first.
    Organizations {
        /// The organizations.
        organizations: Vec<OrganizationFacts>,
    },
    /// The organization as it now is.
    OrganizationChanged(OrganizationFacts),
    /// What the organization keeps for how long now.
    Retention(RetentionFacts),
    /// The person is erased.
    SubjectErased {
        /// The mark that stays of them.
        subject: String,
        /// Waiting deliveries that ended.
        deliveries: u32,
    },
    /// The user with a link of theirs, shown this once.
    UserLinked(UserLink),
    /// Oldest first.
    Users {
        /// The users.
        users: Vec<UserFacts>,
    },
    /// The user as they now are.
    UserChanged(UserFacts),
}

/// Carries an operation out.
pub(crate) async fn run(operation: Operation, ground: &Ground) -> anyhow::Result<Done> {
    match operation {
        Operation::CreateKey { organization, name, scopes, rate_limit } => {
            let by = ground.operator_of(&organization).await?;
            keys::create(ground, &by, name, scopes, rate_limit).await.map(Done::KeyCreated)
        }
        Operation::ListKeys { organization } => {
            let by = ground.operator_of(&organization).await?;
            Ok(Done::Keys { keys: keys::list(ground, &by).await? })
        }
        Operation::RevokeKey { key } => keys::revoke(ground, key).await.map(Done::KeyRevoked),
        Operation::AddMasterKey => {
            Ok(Done::MasterKeyAdded { id: master_keys::add(ground).await?.to_string() })
        }
        Operation::RotateMasterKey => {
            let (current, organizations) = master_keys::rotate(ground).await?;
            Ok(Done::MasterKeyRotated { current: current.to_string(), organizations })
        }
        Operation::RemoveMasterKey { id } => {
            master_keys::remove(ground, &id).await?;
            Ok(Done::MasterKeyRemoved { id })
        }
        Operation::ListMasterKeys => {
            Ok(Done::MasterKeys { keys: master_keys::list(ground).await? })
        }
        Operation::ListNodes => Ok(Done::Nodes { nodes: nodes::list(ground).await? }),
        Operation::ListOrganizations => {
            Ok(Done::Organizations { organizations: organizations::list(ground).await? })
        }
        Operation::DeleteOrganization { organization, confirm, grace_days } => {
            let by = ground.operator_of(&organization).await?;
            let asked = organizations::delete(ground, &by, &confirm, grace_days).await?;
            Ok(Done::OrganizationChanged(asked))
        }
        Operation::RestoreOrganization { organization } => {
            let by = ground.operator_of(&organization).await?;
            organizations::restore(ground, &by).await.map(Done::OrganizationChanged)
        }
        Operation::ChangeRetention { organization, patch } => {
            let by = ground.operator_of(&organization).await?;
            retention::change(ground, &by, &patch).await.map(Done::Retention)
        }
        Operation::EraseSubject { organization, reference } => {
            let by = ground.operator_of(&organization).await?;
            let erased = subjects::erase(ground, &by, &reference).await?;
            Ok(Done::SubjectErased {
                subject: erased.subject.to_string(),
                deliveries: erased.deliveries,
            })
        }
        Operation::CreateUser { organization, email, name, role } => {
            let by = ground.operator_of(&organization).await?;
            let new = NewUser { email, name, role };
            users::create(ground, &by, new).await.map(Done::UserLinked)
        }
        Operation::ListUsers { organization } => {
            let by = ground.operator_of(&organization).await?;
            Ok(Done::Users { users: users::list(ground, &by).await? })
        }
        Operation::DisableUser { organization, user } => {
            let by = ground.operator_of(&organization).await?;
            users::disable(ground, &by, &user).await.map(Done::UserChanged)
        }
        Operation::EnableUser { organization, user } => {
            let by = ground.operator_of(&organization).await?;
            users::enable(ground, &by, &user).await.map(Done::UserChanged)
        }
        Operation::ResetUser { organization, user } => {
            let by = ground.operator_of(&organization).await?;
            users::reset(ground, &by, &user).await.map(Done::UserLinked)
        }
    }
}

impl Ground {
    /// Somebody with a shell on the machine, acting for that organization.
    pub(crate) async fn operator_of(&self, organization: &str) -> anyhow::Result<Caller> {
        let found: Option<Organization> =
            self.storage.accounts().organization(organization).await?;
        let found = found.with_context(|| format!("there is no organization `{organization}`"))?;
        Ok(Caller::new(found.id, Actor::Operator))
    }
}
