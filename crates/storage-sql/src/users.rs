//! The people who sign in to the dashboard: their rows, links and passwords. Their sessions are in `sessions`.

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::access::{Actor, Caller};
use abide_core::ids::{OrganizationId, SessionId, User as UserKind, UserId};
use abide_core::user::{Role, UserState, check_email, check_name};
use abide_core::{Refusal, Timestamp};
use abide_storage::sealing::{OrganizationKeys, Place, SecretHash, normalise_email};
use abide_storage::users::{
    Account, LinkHolder, NewLink, NewSession, NewUser, OwnerOffer, PasswordHash, Session,
    SessionView, User, UserPatch, Whose,
};
use abide_storage::{Page, PageWanted, StorageError, StorageResult, Users};
use async_trait::async_trait;

use crate::after::refused;
use crate::database::Database;
use crate::keys::organization_keys;
use crate::organizations::hold_alone;
use crate::rows::{at, count, id, maybe_at, named};
use crate::sessions;
use crate::shared::Shared;
use crate::store::SqlStore;
use crate::tx::Tx;

/// Kind of blind index. Not the one of people: an address in both must not show.
const BLIND: &str = "user-email";

/// A user's row, still sealed.
pub(crate) struct UserRow {
    user: User,
    sealed_email: Vec<u8>,
    sealed_name: Vec<u8>,
    password: Option<PasswordHash>,
    link: Option<SecretHash>,
}

/// A row of `users`, also where it is joined to others.
pub(crate) fn row_of(row: &dyn Row) -> StorageResult<UserRow> {
    Ok(UserRow {
        user: User {
            id: id(row, "user_id")?,
            organization: id(row, "organization")?,
            email: String::new(),
            name: String::new(),
            role: named(row, "role", Role::parse)?,
            state: named(row, "state", UserState::parse)?,
            created_at: at(row, "created_at")?,
            last_sign_in_at: maybe_at(row, "last_sign_in_at")?,
            link_expires_at: maybe_at(row, "link_expires_at")?,
        },
        sealed_email: row.get("sealed_email")?,
        sealed_name: row.get("sealed_name")?,
        password: row.get::<Option<String>>("password")?.map(PasswordHash),
        link: row.get::<Option<[u8; 32]>>("link_hash")?.map(SecretHash),
    })
}

impl UserRow {
    /// Opens what is sealed in it.
    fn open(self, keys: &OrganizationKeys) -> StorageResult<Account> {
        let (email_at, name_at) = (email_place(self.user.id), name_place(self.user.id));
        let email = sessions::text(keys, &email_at, &self.sealed_email)?;
        let name = sessions::text(keys, &name_at, &self.sealed_name)?;
        Ok(Account { user: User { email, name, ..self.user }, password: self.password })
    }
}

fn email_place(user: UserId) -> Place {
    Place { table: "users", column: "sealed_email", row: user.key() }
}

fn name_place(user: UserId) -> Place {
    Place { table: "users", column: "sealed_name", row: user.key() }
}

fn by_id(connection: &dyn Sql, user: UserId) -> StorageResult<Option<UserRow>> {
    connection.sql("SELECT * FROM users WHERE user_id = ?").maybe([user.key()], row_of)
}

/// The opened row of a user of any organization.
pub(crate) fn load(
    connection: &dyn Sql,
    shared: &Shared,
    user: UserId,
) -> StorageResult<Option<Account>> {
    let Some(row) = by_id(connection, user)? else { return Ok(None) };
    let keys = organization_keys(connection, shared, row.user.organization)?;
    row.open(&keys).map(Some)
}

/// A user that a caller may touch, or the refusal.
fn existing(tx: &mut Tx<'_>, by: &Caller, user: UserId) -> StorageResult<Account> {
    let keys = tx.keys(by.organization)?;
    by_id(tx.connection(), user)?
        .filter(|row| row.user.organization == by.organization)
        .ok_or(StorageError::Refused(Refusal::NotFound("the user")))?
        .open(&keys)
}

/// The user again, after a change.
fn again(tx: &mut Tx<'_>, by: &Caller, user: UserId) -> StorageResult<User> {
    existing(tx, by, user).map(|account| account.user)
}

fn organization_uri(connection: &dyn Sql, of: OrganizationId) -> StorageResult<String> {
    connection
        .sql("SELECT uri FROM organizations WHERE organization = ?")
        .one([of.key()], |row| row.get(0))
}

/// Refuses what would leave the organization without an active owner.
fn keeps_an_owner(tx: &Tx<'_>, user: &User) -> StorageResult<()> {
    if user.role != Role::Owner || user.state != UserState::Active {
        return Ok(());
    }
    let another = tx
        .sql(
            "SELECT 1 FROM users WHERE organization = ? AND role = 'owner' AND state = 'active' \
             AND user_id <> ? LIMIT 1",
        )
        .exists([user.organization.key(), user.id.key()])?;
    if another {
        return Ok(());
    }
    let problem = "this is the last active owner; make somebody else an owner first".to_owned();
    refused(Refusal::Conflict(problem))
}

/// A user as a new row has it.
struct Begun<'a> {
    organization: OrganizationId,
    new: &'a NewUser,
    role: Role,
    state: UserState,
    password: Option<&'a PasswordHash>,
    link: Option<NewLink>,
}

fn insert(tx: &mut Tx<'_>, begun: &Begun<'_>, now: Timestamp) -> StorageResult<UserId> {
    let keys = tx.keys(begun.organization)?;
    let email = begun.new.email.trim();
    let blind = keys.index_key.blind(BLIND, &normalise_email(email)).0;
    let taken = tx
        .sql("SELECT 1 FROM users WHERE organization = ? AND blind = ?")
        .exists(params![begun.organization.key(), blind])?;
    if taken {
        let problem = "belongs to a user of this organization already";
        return refused(Refusal::field("email", problem));
    }
    let user: UserId = tx.id::<UserKind>(now);
    tx.sql(
        "INSERT INTO users (user_id, organization, blind, sealed_email, sealed_name, role, state, password, \
         created_at, link_hash, link_expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .execute(params![
        user.key(),
        begun.organization.key(),
        blind,
        keys.key.seal(&email_place(user), email.as_bytes()),
        keys.key.seal(&name_place(user), begun.new.name.trim().as_bytes()),
        begun.role.as_str(),
        begun.state.as_str(),
        begun.password.map(|password| &password.0),
        now.as_millis(),
        begun.link.map(|link| link.secret.0),
        begun.link.map(|link| link.expires_at.as_millis()),
    ])?;
    Ok(user)
}

fn is_same(one: &SecretHash, other: &SecretHash) -> bool {
    // Hashes of random secrets: where they differ tells nobody anything.
    one.0 == other.0
}

#[async_trait]
impl<D: Database> Users for SqlStore<D> {
    async fn invite(
        &self,
        by: &Caller,
        new: NewUser,
        link: NewLink,
        now: Timestamp,
    ) -> StorageResult<User> {
        check_email(&new.email)?;
        check_name(&new.name)?;
        self.act(by, 512, now, move |tx, by| {
            let begun = Begun {
                organization: by.organization,
                new: &new,
                role: new.role,
                state: UserState::Invited,
                password: None,
                link: Some(link),
            };
            let user = insert(tx, &begun, now)?;
            tx.audit(by, &format!("user.invite.{}", new.role.as_str()), &user.to_string(), now)?;
            again(tx, by, user)
        })
        .await
    }

    async fn list(
        &self,
        organization: OrganizationId,
        page: PageWanted,
    ) -> StorageResult<Page<User>> {
        self.read(move |connection, shared| {
            let keys = organization_keys(connection, shared, organization)?;
            let total = connection
                .sql("SELECT count(*) FROM users WHERE organization = ?")
                .one([organization.key()], count)?;
            let rows: Vec<UserRow> = connection
                .sql("SELECT * FROM users WHERE organization = ? ORDER BY user_id LIMIT ? OFFSET ?")
                .all(params![organization.key(), page.limit, page.offset() as i64], row_of)?;
            let users = rows.into_iter().map(|row| Ok(row.open(&keys)?.user));
            Ok(Page { items: users.collect::<StorageResult<_>>()?, total })
        })
        .await
    }

    async fn after(
        &self,
        organization: OrganizationId,
        after: Option<UserId>,
        limit: u32,
    ) -> StorageResult<Vec<User>> {
        self.read(move |connection, shared| {
            let keys = organization_keys(connection, shared, organization)?;
            let rows: Vec<UserRow> = connection
                .sql(
                    "SELECT * FROM users WHERE organization = ? AND user_id > ? ORDER BY user_id LIMIT ?",
                ).all(params![organization.key(), after.map_or(0, UserId::key), limit], row_of)?;
            rows.into_iter().map(|row| Ok(row.open(&keys)?.user)).collect()
        })
        .await
    }

    async fn account(
        &self,
        organization: OrganizationId,
        whose: Whose,
    ) -> StorageResult<Option<Account>> {
        self.read(move |connection, shared| {
            let keys = organization_keys(connection, shared, organization)?;
            let row = match &whose {
                Whose::Id(user) => {
                    by_id(connection, *user)?.filter(|row| row.user.organization == organization)
                }
                Whose::Email(email) => {
                    let blind = keys.index_key.blind(BLIND, &normalise_email(email)).0;
                    connection
                        .sql("SELECT * FROM users WHERE organization = ? AND blind = ?")
                        .maybe(params![organization.key(), blind], row_of)?
                }
            };
            row.map(|row| row.open(&keys)).transpose()
        })
        .await
    }

    async fn change(
        &self,
        by: &Caller,
        user: UserId,
        patch: UserPatch,
        now: Timestamp,
    ) -> StorageResult<User> {
        if let Some(name) = &patch.name {
            check_name(name)?;
        }
        self.act(by, 512, now, move |tx, by| {
            let found = existing(tx, by, user)?.user;
            let name = patch.name.as_deref().map(str::trim).filter(|name| *name != found.name);
            let role = patch.role.filter(|role| *role != found.role);
            if role.is_some() {
                keeps_an_owner(tx, &found)?;
            }
            if let Some(name) = name {
                let sealed = tx.keys(by.organization)?.key.seal(&name_place(user), name.as_bytes());
                tx.sql("UPDATE users SET sealed_name = ? WHERE user_id = ?")
                    .execute(params![sealed, user.key()])?;
                tx.audit(by, "user.rename", &user.to_string(), now)?;
            }
            if let Some(role) = role {
                tx.sql("UPDATE users SET role = ? WHERE user_id = ?")
                    .execute(params![role.as_str(), user.key()])?;
                sessions::end_all(tx, user)?;
                tx.audit(by, &format!("user.role.{}", role.as_str()), &user.to_string(), now)?;
            }
            again(tx, by, user)
        })
        .await
    }

    async fn disable(&self, by: &Caller, user: UserId, now: Timestamp) -> StorageResult<User> {
        self.act_in_any_state(by, 64, now, move |tx, by| {
            let found = existing(tx, by, user)?.user;
            if found.state == UserState::Disabled {
                return Ok(found);
            }
            keeps_an_owner(tx, &found)?;
            tx.sql(
                "UPDATE users SET state = 'disabled', link_hash = NULL, link_expires_at = NULL WHERE user_id = ?",
            )
            .execute([user.key()])?;
            sessions::end_all(tx, user)?;
            tx.audit(by, "user.disable", &user.to_string(), now)?;
            again(tx, by, user)
        })
        .await
    }

    async fn enable(&self, by: &Caller, user: UserId, now: Timestamp) -> StorageResult<User> {
        self.act(by, 64, now, move |tx, by| {
            let found = existing(tx, by, user)?;
            if found.user.state != UserState::Disabled {
                return Ok(found.user);
            }
            let state = match found.password {
                Some(_) => UserState::Active,
                None => UserState::Invited,
            };
            tx.sql("UPDATE users SET state = ? WHERE user_id = ?")
                .execute(params![state.as_str(), user.key()])?;
            tx.audit(by, "user.enable", &user.to_string(), now)?;
            again(tx, by, user)
        })
        .await
    }

    async fn issue_link(
        &self,
        by: &Caller,
        user: UserId,
        link: NewLink,
        now: Timestamp,
    ) -> StorageResult<User> {
        self.act(by, 128, now, move |tx, by| {
            let found = existing(tx, by, user)?.user;
            if found.state == UserState::Disabled {
                return refused(Refusal::Conflict(
                    "the user is disabled: enable them first".to_owned(),
                ));
            }
            tx.sql("UPDATE users SET link_hash = ?, link_expires_at = ? WHERE user_id = ?")
                .execute(params![link.secret.0, link.expires_at.as_millis(), user.key()])?;
            tx.audit(by, "user.issue_link", &user.to_string(), now)?;
            again(tx, by, user)
        })
        .await
    }

    async fn link_holder(&self, user: UserId, now: Timestamp) -> StorageResult<Option<LinkHolder>> {
        self.read(move |connection, shared| {
            let Some(row) = by_id(connection, user)? else { return Ok(None) };
            let good = row.user.link_expires_at.is_some_and(|until| now < until);
            let Some(secret) = row.link.filter(|_| good) else { return Ok(None) };
            let organization = row.user.organization;
            let keys = organization_keys(connection, shared, organization)?;
            let user = row.open(&keys)?.user;
            let organization_uri = organization_uri(connection, organization)?;
            Ok(Some(LinkHolder { secret, user, organization_uri }))
        })
        .await
    }

    async fn redeem_link(
        &self,
        user: UserId,
        link: SecretHash,
        password: PasswordHash,
        now: Timestamp,
    ) -> StorageResult<User> {
        self.write(512, move |tx| {
            let gone = || StorageError::Refused(Refusal::NotFound("the link"));
            let row = by_id(tx.connection(), user)?.ok_or_else(gone)?;
            hold_alone(tx, row.user.organization)?;
            let row = by_id(tx.connection(), user)?.ok_or_else(gone)?;
            let good = row.user.link_expires_at.is_some_and(|until| now < until)
                && row.link.is_some_and(|kept| is_same(&kept, &link));
            if !good {
                return Err(gone());
            }
            tx.sql(
                "UPDATE users SET password = ?, state = 'active', link_hash = NULL, link_expires_at = NULL \
                 WHERE user_id = ?",
            )
            .execute(params![password.0, user.key()])?;
            sessions::end_all(tx, user)?;
            let by = Caller::new(row.user.organization, Actor::User(user));
            tx.audit(&by, "user.set_password", &user.to_string(), now)?;
            again(tx, &by, user)
        })
        .await
    }

    async fn sign_in(
        &self,
        by: &Caller,
        user: UserId,
        verified: PasswordHash,
        rehashed: Option<PasswordHash>,
        session: NewSession,
        now: Timestamp,
    ) -> StorageResult<SessionId> {
        self.act_in_any_state(by, 512, now, move |tx, by| {
            let found = existing(tx, by, user)?;
            if found.user.state != UserState::Active || found.password.as_ref() != Some(&verified) {
                return refused(Refusal::NotFound("the user"));
            }
            let password = rehashed.as_ref().unwrap_or(&verified);
            tx.sql("UPDATE users SET last_sign_in_at = ?, password = ? WHERE user_id = ?")
                .execute(params![now.as_millis(), password.0, user.key()])?;
            sessions::make_room(tx, user, now)?;
            let session = sessions::begin(tx, by.organization, user, &session, now)?;
            tx.audit(by, "user.sign_in", &user.to_string(), now)?;
            Ok(session)
        })
        .await
    }

    async fn session(&self, session: SessionId, now: Timestamp) -> StorageResult<Option<Session>> {
        self.read(move |connection, shared| {
            let Some(row) = sessions::good(connection, session, now)? else { return Ok(None) };
            let Some(account) = load(connection, shared, row.user)? else { return Ok(None) };
            if account.user.state != UserState::Active {
                return Ok(None);
            }
            let organization_uri = organization_uri(connection, account.user.organization)?;
            Ok(Some(Session {
                id: session,
                secret: row.secret,
                last_seen_at: row.last_seen_at,
                user: account.user,
                organization_uri,
            }))
        })
        .await
    }

    async fn note_use(&self, session: SessionId, now: Timestamp) -> StorageResult<()> {
        self.write(64, move |tx| {
            tx.sql(
                "UPDATE sessions SET last_seen_at = greatest(last_seen_at, ?) WHERE session = ?",
            )
            .execute([now.as_millis(), session.key()])?;
            Ok(())
        })
        .await
    }

    async fn sessions(
        &self,
        organization: OrganizationId,
        user: UserId,
        now: Timestamp,
    ) -> StorageResult<Vec<SessionView>> {
        self.read(move |connection, shared| {
            let keys = organization_keys(connection, shared, organization)?;
            sessions::of(connection, &keys, organization, user, now)
        })
        .await
    }

    async fn end_session(
        &self,
        by: &Caller,
        user: UserId,
        session: SessionId,
        now: Timestamp,
    ) -> StorageResult<()> {
        self.act_in_any_state(by, 64, now, move |tx, by| {
            existing(tx, by, user)?;
            let ended = tx
                .sql("DELETE FROM sessions WHERE session = ? AND user_id = ?")
                .execute([session.key(), user.key()])?;
            if ended == 0 {
                return refused(Refusal::NotFound("the session"));
            }
            tx.audit(by, "user.end_session", &session.to_string(), now)
        })
        .await
    }

    async fn end_sessions(&self, by: &Caller, user: UserId, now: Timestamp) -> StorageResult<u32> {
        self.act_in_any_state(by, 64, now, move |tx, by| {
            existing(tx, by, user)?;
            let ended = sessions::end_all(tx, user)?;
            if ended > 0 {
                tx.audit(by, "user.end_sessions", &user.to_string(), now)?;
            }
            Ok(ended)
        })
        .await
    }

    async fn change_password(
        &self,
        by: &Caller,
        user: UserId,
        verified: PasswordHash,
        new: PasswordHash,
        keep: SessionId,
        now: Timestamp,
    ) -> StorageResult<()> {
        self.act_in_any_state(by, 512, now, move |tx, by| {
            let found = existing(tx, by, user)?;
            if found.password.as_ref() != Some(&verified) {
                return refused(Refusal::NotFound("the password"));
            }
            tx.sql(
                "UPDATE users SET password = ?, link_hash = NULL, link_expires_at = NULL WHERE user_id = ?",
            )
            .execute(params![new.0, user.key()])?;
            tx.sql("DELETE FROM sessions WHERE user_id = ? AND session <> ?")
                .execute([user.key(), keep.key()])?;
            tx.audit(by, "user.change_password", &user.to_string(), now)
        })
        .await
    }

    async fn offer_ownership(
        &self,
        by: &Caller,
        link: NewLink,
        now: Timestamp,
    ) -> StorageResult<bool> {
        self.act(by, 128, now, move |tx, by| {
            if has_users(tx.connection(), by.organization)? {
                return Ok(false);
            }
            tx.sql(
                "INSERT INTO owner_offers (organization, link_hash, expires_at) VALUES (?, ?, ?) \
                 ON CONFLICT (organization) DO UPDATE SET link_hash = excluded.link_hash, \
                 expires_at = excluded.expires_at",
            )
            .execute(params![
                by.organization.key(),
                link.secret.0,
                link.expires_at.as_millis()
            ])?;
            let organization = by.organization.to_string();
            tx.audit(by, "organization.offer_ownership", &organization, now)?;
            Ok(true)
        })
        .await
    }

    async fn owner_offer(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> StorageResult<Option<OwnerOffer>> {
        self.read(move |connection, _| {
            let Some(secret) = good_offer(connection, organization, now)? else { return Ok(None) };
            let organization_uri = organization_uri(connection, organization)?;
            Ok(Some(OwnerOffer { secret, organization_uri }))
        })
        .await
    }

    async fn take_ownership(
        &self,
        organization: OrganizationId,
        link: SecretHash,
        new: NewUser,
        password: PasswordHash,
        now: Timestamp,
    ) -> StorageResult<User> {
        check_email(&new.email)?;
        check_name(&new.name)?;
        self.write_alone(1_024, organization, move |tx| {
            let kept = good_offer(tx.connection(), organization, now)?;
            if !kept.is_some_and(|kept| is_same(&kept, &link)) {
                return refused(Refusal::NotFound("the link"));
            }
            let begun = Begun {
                organization,
                new: &new,
                role: Role::Owner,
                state: UserState::Active,
                password: Some(&password),
                link: None,
            };
            let user = insert(tx, &begun, now)?;
            tx.sql("DELETE FROM owner_offers WHERE organization = ?")
                .execute([organization.key()])?;
            let by = Caller::new(organization, Actor::User(user));
            tx.audit(&by, "user.take_ownership", &user.to_string(), now)?;
            again(tx, &by, user)
        })
        .await
    }
}

fn has_users(connection: &dyn Sql, organization: OrganizationId) -> StorageResult<bool> {
    connection
        .sql("SELECT 1 FROM users WHERE organization = ? LIMIT 1")
        .exists([organization.key()])
}

/// An offer that is good: not run out, and nobody there yet.
fn good_offer(
    connection: &dyn Sql,
    organization: OrganizationId,
    now: Timestamp,
) -> StorageResult<Option<SecretHash>> {
    if has_users(connection, organization)? {
        return Ok(None);
    }
    let hash: Option<[u8; 32]> = connection
        .sql("SELECT link_hash FROM owner_offers WHERE organization = ? AND expires_at > ?")
        .maybe([organization.key(), now.as_millis()], |row| row.get(0))?;
    Ok(hash.map(SecretHash))
}
