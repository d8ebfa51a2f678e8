//! The people who sign in to the dashboard: invited, signed in, changed, shut out.
//!
//! A user's address and name lie sealed under the organization's key, and are found by a blind index of a kind of their
//! own, so that a user is not told to be a subject of the same address. Passwords arrive here hashed. A user has one
//! one-time link at most: issuing another voids the first.

use std::fmt;

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::{OrganizationId, SessionId, UserId};
use abide_core::user::{Role, UserState};
use async_trait::async_trait;

use crate::sealing::SecretHash;
use crate::{Page, PageWanted, StorageResult};

/// A user to be invited, or the first owner.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Where they are known by; unique in the organization, however its letters are cased.
    pub email: String,
    /// What they are called, 1 to 100 characters.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// A user as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Whose dashboard they sign in to.
    pub organization: OrganizationId,
    /// Their address, as it was typed but for surrounding white space.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where they stand.
    pub state: UserState,
    /// When they were invited.
    pub created_at: Timestamp,
    /// When they last signed in, if ever.
    pub last_sign_in_at: Option<Timestamp>,
    /// Until when the link last issued is good; `None` where there is none or it was used.
    pub link_expires_at: Option<Timestamp>,
}

/// A one-time link to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewLink {
    /// The hash of its secret (I12).
    pub secret: SecretHash,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// A hashed password: an Argon2 PHC string, which names its own parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

/// What a sign-in is judged by.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who they are.
    pub user: User,
    /// Their password, once they chose one.
    pub password: Option<PasswordHash>,
}

/// By what a user is looked for.
#[derive(Clone)]
pub enum Whose {
    /// By their address.
    Email(String),
    /// By their id.
    Id(UserId),
}

/// A session to be stored.
#[derive(Clone)]
pub struct NewSession {
    /// The hash of its token's secret (I12).
    pub secret: SecretHash,
    /// Which browser, in words for its owner, such as `Firefox on Linux`. Kept sealed.
    pub browser: String,
}

/// A session with whose it is, as a request needs it.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The hash of its token's secret.
    pub secret: SecretHash,
    /// When it was last noted to be used.
    pub last_seen_at: Timestamp,
    /// Who signed in.
    pub user: User,
    /// Their organization's short name.
    pub organization_uri: String,
}

/// A session as its owner sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Which browser.
    pub browser: String,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it was last noted to be used.
    pub last_seen_at: Timestamp,
}

/// Who holds a link that is good.
#[derive(Debug, Clone)]
pub struct LinkHolder {
    /// The hash of the link's secret.
    pub secret: SecretHash,
    /// Who they are.
    pub user: User,
    /// Their organization's short name.
    pub organization_uri: String,
}

/// An offer to become an organization's first owner.
#[derive(Debug, Clone)]
pub struct OwnerOffer {
    /// The hash of the link's secret.
    pub secret: SecretHash,
    /// The organization's short name.
    pub organization_uri: String,
}

/// What may change about a user.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct UserPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another role. Ends their sessions.
    pub role: Option<Role>,
}

/// Users and their sessions.
///
/// Refused wherever it would leave an organization that has an active owner without one: demoting or disabling the last.
#[async_trait]
pub trait Users: Send + Sync {
    /// Stores a user in state `invited` with their first link. An address that another user has is a refused `email`.
    async fn invite(
        &self,
        by: &Caller,
        new: NewUser,
        link: NewLink,
        now: Timestamp,
    ) -> StorageResult<User>;

    /// An organization's users by page, oldest first, disabled ones included.
    async fn list(
        &self,
        organization: OrganizationId,
        page: PageWanted,
    ) -> StorageResult<Page<User>>;

    /// The same by cursor: those invited after `after`, where one is given, at most `limit`.
    async fn after(
        &self,
        organization: OrganizationId,
        after: Option<UserId>,
        limit: u32,
    ) -> StorageResult<Vec<User>>;

    /// One user of an organization with what a sign-in is judged by.
    async fn account(
        &self,
        organization: OrganizationId,
        whose: Whose,
    ) -> StorageResult<Option<Account>>;

    /// Changes name or role. A role that changes ends the user's sessions.
    async fn change(
        &self,
        by: &Caller,
        user: UserId,
        patch: UserPatch,
        now: Timestamp,
    ) -> StorageResult<User>;

    /// Shuts a user out: sessions and link end. Twice is no mistake.
    async fn disable(&self, by: &Caller, user: UserId, now: Timestamp) -> StorageResult<User>;

    /// Lets a disabled user in again: `active` where they have a password, else `invited`. Twice is no mistake.
    async fn enable(&self, by: &Caller, user: UserId, now: Timestamp) -> StorageResult<User>;

    /// Replaces a user's link. Refused for a disabled one.
    async fn issue_link(
        &self,
        by: &Caller,
        user: UserId,
        link: NewLink,
        now: Timestamp,
    ) -> StorageResult<User>;

    /// For the holder of a link, of any organization: whose it is, while it is good.
    async fn link_holder(&self, user: UserId, now: Timestamp) -> StorageResult<Option<LinkHolder>>;

    /// Uses a link up: sets the password, makes the user `active`, ends their sessions. Refused as not found where the
    /// link is no longer good, of any organization.
    async fn redeem_link(
        &self,
        user: UserId,
        link: SecretHash,
        password: PasswordHash,
        now: Timestamp,
    ) -> StorageResult<User>;

    /// Opens a session for an active user whose password was found to be `verified`, and replaces it by `rehashed` where
    /// its parameters are outdated. Refused as not found where the user or the password changed meanwhile. Sessions of
    /// theirs that are over go, and the oldest beyond 50.
    async fn sign_in(
        &self,
        by: &Caller,
        user: UserId,
        verified: PasswordHash,
        rehashed: Option<PasswordHash>,
        session: NewSession,
        now: Timestamp,
    ) -> StorageResult<SessionId>;

    /// For authentication: a session by its id, of any organization, while it is good and its user active.
    async fn session(&self, session: SessionId, now: Timestamp) -> StorageResult<Option<Session>>;

    /// Notes that a session was used, for its idle limit. No change that anybody asked for: no audit entry. For
    /// authentication, of any organization.
    async fn note_use(&self, session: SessionId, now: Timestamp) -> StorageResult<()>;

    /// A user's sessions that are good, the one used last first.
    async fn sessions(
        &self,
        organization: OrganizationId,
        user: UserId,
        now: Timestamp,
    ) -> StorageResult<Vec<SessionView>>;

    /// Ends one session of a user.
    async fn end_session(
        &self,
        by: &Caller,
        user: UserId,
        session: SessionId,
        now: Timestamp,
    ) -> StorageResult<()>;

    /// Ends all sessions of a user; answers how many there were.
    async fn end_sessions(&self, by: &Caller, user: UserId, now: Timestamp) -> StorageResult<u32>;

    /// Replaces the password found to be `verified`, ends the user's link and their sessions but `keep`. Refused as not
    /// found where the password changed meanwhile.
    async fn change_password(
        &self,
        by: &Caller,
        user: UserId,
        verified: PasswordHash,
        new: PasswordHash,
        keep: SessionId,
        now: Timestamp,
    ) -> StorageResult<()>;

    /// Offers an organization without users to whoever holds the link; a later offer voids this one. `false` where there
    /// are users, and then nothing is offered.
    async fn offer_ownership(
        &self,
        by: &Caller,
        link: NewLink,
        now: Timestamp,
    ) -> StorageResult<bool>;

    /// For the holder of an offer, while it is good: there are no users yet.
    async fn owner_offer(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> StorageResult<Option<OwnerOffer>>;

    /// Uses an offer up: stores the organization's first user, an active owner, whatever role `new` names. Refused as not
    /// found where the offer is no longer good.
    async fn take_ownership(
        &self,
        organization: OrganizationId,
        link: SecretHash,
        new: NewUser,
        password: PasswordHash,
        now: Timestamp,
    ) -> StorageResult<User>;
}

// I11, I12: what is about a person or opens something stays out of every `Debug`.

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser").field("role", &self.role).finish_non_exhaustive()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("role", &self.role)
            .field("state", &self.state)
            .field("created_at", &self.created_at)
            .field("last_sign_in_at", &self.last_sign_in_at)
            .field("link_expires_at", &self.link_expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionView")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("last_seen_at", &self.last_seen_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(_) => f.write_str("Email(..)"),
            Self::Id(id) => write!(f, "Id({id})"),
        }
    }
}

impl fmt::Debug for UserPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserPatch").field("role", &self.role).finish_non_exhaustive()
    }
}
