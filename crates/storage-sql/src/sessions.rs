//! Sessions of the dashboard's users: rows that go when they end, so that a copied token finds nothing.

use crate::params;
use crate::sql::Sql;
use abide_core::Timestamp;
use abide_core::ids::{OrganizationId, Session as SessionKind, SessionId, UserId};
use abide_core::user::{SESSION_IDLE_MILLIS, SESSION_LIFE_MILLIS, session_ends_at};
use abide_storage::StorageResult;
use abide_storage::sealing::{OrganizationKeys, Place, SecretHash};
use abide_storage::users::{NewSession, SessionView};

use crate::rows::{at, damaged, id};
use crate::tx::Tx;

/// More than anybody's browsers; a script that signs in anew each time does not fill the table.
const MOST: u32 = 50;

/// A session that is not over.
pub(crate) struct Good {
    pub(crate) user: UserId,
    pub(crate) secret: SecretHash,
    pub(crate) last_seen_at: Timestamp,
}

fn browser_place(session: SessionId) -> Place {
    Place { table: "sessions", column: "sealed_browser", row: session.key() }
}

/// Opens a sealed text.
pub(crate) fn text(keys: &OrganizationKeys, place: &Place, sealed: &[u8]) -> StorageResult<String> {
    let wrong = || damaged(&format!("{}.{}", place.table, place.column));
    let plain = keys.key.open(place, sealed).map_err(|_| wrong())?;
    String::from_utf8(plain).map_err(|_| wrong())
}

/// The session, while it is good.
pub(crate) fn good(
    connection: &dyn Sql,
    session: SessionId,
    now: Timestamp,
) -> StorageResult<Option<Good>> {
    let found = connection.sql("SELECT * FROM sessions WHERE session = ?").maybe(
        [session.key()],
        |row| {
            let good = Good {
                user: id(row, "user_id")?,
                secret: SecretHash(row.get("secret_hash")?),
                last_seen_at: at(row, "last_seen_at")?,
            };
            Ok((at(row, "created_at")?, good))
        },
    )?;
    Ok(found
        .filter(|(created_at, good)| now < session_ends_at(*created_at, good.last_seen_at))
        .map(|(_, good)| good))
}

/// A user's sessions that are good, the one used last first.
pub(crate) fn of(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    user: UserId,
    now: Timestamp,
) -> StorageResult<Vec<SessionView>> {
    let rows: Vec<(SessionView, Vec<u8>)> = connection
        .sql("SELECT * FROM sessions WHERE user_id = ? AND organization = ?")
        .all([user.key(), organization.key()], |row| {
            let view = SessionView {
                id: id(row, "session")?,
                browser: String::new(),
                created_at: at(row, "created_at")?,
                last_seen_at: at(row, "last_seen_at")?,
            };
            Ok((view, row.get("sealed_browser")?))
        })?;
    let mut views = Vec::new();
    for (view, sealed) in rows {
        if now < session_ends_at(view.created_at, view.last_seen_at) {
            let browser = text(keys, &browser_place(view.id), &sealed)?;
            views.push(SessionView { browser, ..view });
        }
    }
    views.sort_by_key(|view| std::cmp::Reverse((view.last_seen_at, view.id)));
    Ok(views)
}

/// Stores a session.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    user: UserId,
    new: &NewSession,
    now: Timestamp,
) -> StorageResult<SessionId> {
    let session: SessionId = tx.id::<SessionKind>(now);
    let browser = tx.keys(organization)?.key.seal(&browser_place(session), new.browser.as_bytes());
    tx.sql(
        "INSERT INTO sessions (session, user_id, organization, secret_hash, sealed_browser, created_at, last_seen_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .execute(params![
        session.key(),
        user.key(),
        organization.key(),
        new.secret.0,
        browser,
        now.as_millis(),
        now.as_millis(),
    ])?;
    Ok(session)
}

/// Takes away a user's sessions that are over, and the oldest where there are too many for one more.
pub(crate) fn make_room(tx: &Tx<'_>, user: UserId, now: Timestamp) -> StorageResult<()> {
    tx.sql("DELETE FROM sessions WHERE user_id = ? AND (last_seen_at <= ? OR created_at <= ?)")
        .execute([
            user.key(),
            now.plus_millis(-SESSION_IDLE_MILLIS).as_millis(),
            now.plus_millis(-SESSION_LIFE_MILLIS).as_millis(),
        ])?;
    tx.sql(
        "DELETE FROM sessions WHERE user_id = ?1 AND session <= \
         (SELECT session FROM sessions WHERE user_id = ?1 ORDER BY session DESC LIMIT 1 OFFSET ?2)",
    )
    .execute(params![user.key(), MOST - 1])?;
    Ok(())
}

/// Ends all sessions of a user.
pub(crate) fn end_all(tx: &Tx<'_>, user: UserId) -> StorageResult<u32> {
    tx.sql("DELETE FROM sessions WHERE user_id = ?").execute([user.key()]).map(|ended| ended as u32)
}
