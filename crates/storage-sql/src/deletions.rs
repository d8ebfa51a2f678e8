//! Organizations that go: asked for, taken back, destroyed, emptied in pages.
//!
//! A page is looked for beside the writer, and what was found is removed in one short transaction with what hangs on it.
//! Which page comes next hangs on nothing but the rows that are left, so that whoever goes on after a crash goes on there.

use crate::erasures::next_entry;
use crate::leases::must_do_chores;
use crate::params;
use crate::sql::Sql;
use abide_core::access::{Actor, Caller};
use abide_core::ids::{AuditEntryId, BlobId, EndpointId, OrganizationId};
use abide_core::organization::OrganizationState;
use abide_core::{Refusal, Timestamp};
use abide_storage::accounts::Organization;
use abide_storage::deletions::CarriedOut;
use abide_storage::{Deletions, StorageError, StorageResult};
use async_trait::async_trait;

use crate::after::{After, refused};
use crate::blobs::{Going, ROWS};
use crate::database::Database;
use crate::endpoints::changed;
use crate::organizations;
use crate::organizations::by_id;
use crate::rows::id;
use crate::shared::Nodes;
use crate::store::SqlStore;
use crate::tx::{Caches, Tx};

/// What the audit log keeps of a deleted organization.
const ASKED: &str = "organization.delete";
const DESTROYED: &str = "organization.destroy_keys";
const EMPTIED: &str = "organization.empty";

/// One kind of row that goes.
struct Kind {
    /// Some keys of such rows of an organization (`?1`), at most `?2`; behind each, where there is a feed, its number in it.
    find: &'static str,
    /// Removes what hangs on the row with a key (`?1`), then the row.
    remove: &'static [&'static str],
    /// Removes the number (`?2`) from the organization's (`?1`) feed, where feeds are tables of their own.
    unnumber: Option<&'static str>,
}

/// Removes an event (`?1`) with its deliveries and their attempts.
pub(crate) const REMOVE_EVENT: &[&str] = &[
    "DELETE FROM attempts WHERE delivery IN (SELECT delivery FROM deliveries WHERE event = ?1 AND is_right_after(?1))",
    "DELETE FROM attempts WHERE delivery IN (SELECT delivery FROM deliveries WHERE event = ?1 AND repeats = 1)",
    "DELETE FROM asks WHERE delivery IN (SELECT delivery FROM deliveries WHERE event = ?1 AND is_right_after(?1))",
    "DELETE FROM asks WHERE delivery IN (SELECT delivery FROM deliveries WHERE event = ?1 AND repeats = 1)",
    "DELETE FROM deliveries WHERE event = ?1 AND is_right_after(?1)",
    "DELETE FROM deliveries WHERE event = ?1 AND repeats = 1",
    "DELETE FROM event_parts WHERE event = ?1",
    "DELETE FROM events WHERE event = ?1",
];

/// Every kind, in the order in which they go: what hangs on a row is found through it and goes with it. Nothing here takes
/// an index that the ledger or deliveries do not have anyway; the few tables without one by organization are small.
const KINDS: &[Kind] = &[
    Kind {
        find: "SELECT event, log_index FROM numbered_events WHERE organization = ? AND log_index > 0 \
               ORDER BY log_index LIMIT ?",
        remove: REMOVE_EVENT,
        unnumber: Some("DELETE FROM event_feed WHERE organization = ? AND log_index = ?"),
    },
    Kind {
        // Made up for tests.
        find: "SELECT event FROM events WHERE organization = ? AND log_index IS NULL LIMIT ?",
        remove: REMOVE_EVENT,
        unnumber: None,
    },
    Kind {
        find: "SELECT decision, log_index FROM numbered_decisions WHERE organization = ? AND log_index > 0 \
               ORDER BY log_index LIMIT ?",
        unnumber: Some("DELETE FROM decision_feed WHERE organization = ? AND log_index = ?"),
        remove: &[
            "DELETE FROM lanes WHERE subject = (SELECT subject FROM decisions WHERE decision = ?1)",
            "DELETE FROM identifiers WHERE subject = (SELECT subject FROM decisions WHERE decision = ?1)",
            "DELETE FROM idempotency_about WHERE subject = (SELECT subject FROM decisions WHERE decision = ?1)",
            "DELETE FROM consents WHERE consent = (SELECT consent FROM decisions WHERE decision = ?1)",
            "DELETE FROM subjects WHERE subject = (SELECT subject FROM decisions WHERE decision = ?1)",
            "DELETE FROM decisions WHERE decision = ?1",
        ],
    },
    Kind {
        find: "SELECT subject FROM identifiers WHERE organization = ? LIMIT ?",
        remove: &[
            "DELETE FROM lanes WHERE subject = ?1",
            "DELETE FROM identifiers WHERE subject = ?1",
            "DELETE FROM subjects WHERE subject = ?1",
        ],
        unnumber: None,
    },
    Kind {
        find: "SELECT key FROM originals WHERE organization = ? LIMIT ?",
        remove: &["DELETE FROM originals WHERE key = ?1"],
        unnumber: None,
    },
    Kind {
        find: "SELECT erasure FROM erasures WHERE erasure > 0 AND organization = ? LIMIT ?",
        remove: &["DELETE FROM erasures WHERE erasure = ?1"],
        unnumber: None,
    },
    Kind {
        find: "SELECT suppression FROM suppressions WHERE organization = ? LIMIT ?",
        remove: &["DELETE FROM suppressions WHERE suppression = ?1"],
        unnumber: None,
    },
    Kind {
        find: "SELECT call FROM idempotency WHERE organization = ? LIMIT ?",
        remove: &[
            "DELETE FROM idempotency_about WHERE call = ?1",
            "DELETE FROM idempotency WHERE call = ?1",
        ],
        unnumber: None,
    },
    Kind {
        find: "SELECT policy FROM policies WHERE policy > 0 AND organization = ? LIMIT ?",
        remove: &["DELETE FROM policies WHERE policy = ?1"],
        unnumber: None,
    },
    Kind {
        find: "SELECT purpose FROM purposes WHERE organization = ? LIMIT ?",
        remove: &["DELETE FROM purposes WHERE purpose = ?1"],
        unnumber: None,
    },
    Kind {
        find: "SELECT first FROM delivery_stretches WHERE owner IN \
               (SELECT endpoint FROM endpoints WHERE organization = ?1 UNION ALL SELECT ?1) LIMIT ?2",
        remove: &["DELETE FROM delivery_stretches WHERE first = ?1 AND owner IN \
                   (SELECT endpoint FROM endpoints WHERE organization = ?2 UNION ALL SELECT ?2)"],
        unnumber: None,
    },
    Kind {
        find: "SELECT endpoint FROM endpoints WHERE organization = ? LIMIT ?",
        remove: &[
            "DELETE FROM lanes WHERE endpoint = ?1",
            "DELETE FROM endpoint_secrets WHERE endpoint = ?1",
            "DELETE FROM counts WHERE owner = ?1",
            "DELETE FROM endpoints WHERE endpoint = ?1",
        ],
        unnumber: None,
    },
    Kind {
        find: "SELECT owner FROM counts WHERE owner = ? LIMIT ?",
        remove: &["DELETE FROM counts WHERE owner = ?1"],
        unnumber: None,
    },
    Kind {
        find: "SELECT entry FROM audit WHERE organization = ? \
               AND action NOT IN ('organization.delete', 'organization.destroy_keys', 'organization.empty') LIMIT ?",
        remove: &["DELETE FROM audit WHERE organization = ?2 AND entry = ?1"],
        unnumber: None,
    },
];

/// What goes with the keys at once, by the organization (`?1`): all that opens anything, all who sign in, and all work under
/// way.
const AT_ONCE: &[&str] = &[
    "DELETE FROM api_keys WHERE organization = ?1",
    "DELETE FROM sessions WHERE user_id IN (SELECT user_id FROM users WHERE organization = ?1)",
    "DELETE FROM users WHERE organization = ?1",
    "DELETE FROM jobs WHERE organization = ?1",
    "DELETE FROM owner_offers WHERE organization = ?1",
    "DELETE FROM retention WHERE organization = ?1",
    "DELETE FROM endpoint_secrets WHERE endpoint IN (SELECT endpoint FROM endpoints WHERE organization = ?1)",
];

#[async_trait]
impl<D: Database> Deletions for SqlStore<D> {
    async fn ask(
        &self,
        by: &Caller,
        confirm: &str,
        grace_days: u32,
        now: Timestamp,
    ) -> StorageResult<Organization> {
        let confirm = confirm.to_owned();
        self.act_in_any_state(by, 256, now, move |tx, by| {
            let before = organization(tx, by.organization)?;
            if confirm != before.uri {
                let problem = "must be the `uri` of the organization that is to be deleted";
                return refused(Refusal::field("confirm", problem));
            }
            let state = before.state.begin_deletion(grace_days, now)?;
            let OrganizationState::Deleting { deletes_at } = state else { return Ok(before) };
            tx.sql("UPDATE organizations SET state = 'deleting', deletes_at = ? WHERE organization = ?")
                .execute([deletes_at.as_millis(), before.id.key()])?;
            suspend(tx, before.id, Suspended::Yes, now)?;
            tx.caches.standings.insert(before.id, state);
            tx.audit(by, ASKED, &before.id.to_string(), now)?;
            Ok(Organization { state, ..before })
        })
        .await
    }

    async fn restore(&self, by: &Caller, now: Timestamp) -> StorageResult<Organization> {
        self.act_in_any_state(by, 256, now, move |tx, by| {
            let before = organization(tx, by.organization)?;
            let state = before.state.restore(now)?;
            if state == before.state {
                return Ok(before);
            }
            tx.sql("UPDATE organizations SET state = 'active', deletes_at = NULL WHERE organization = ?")
                .execute([before.id.key()])?;
            suspend(tx, before.id, Suspended::No, now)?;
            tx.caches.standings.insert(before.id, state);
            tx.audit(by, "organization.restore", &before.id.to_string(), now)?;
            Ok(Organization { state, ..before })
        })
        .await
    }

    async fn carry_out(&self, limit: u32, now: Timestamp) -> StorageResult<CarriedOut> {
        let found = self.read(move |connection, _| next(connection, limit, now)).await?;
        match found {
            None => Ok(CarriedOut::Nothing),
            Some(Next::Destroy(of)) => {
                let done = self
                    .write_alone(256, of, move |tx| {
                        must_do_chores(tx)?;
                        // What was seen beside the writer may have been restored since.
                        if organization(tx, of)?.state.is_due(now) {
                            let entry = next_entry(tx, now)?;
                            destroy(tx, of, entry, now, now)?;
                        }
                        Ok(CarriedOut::Destroyed)
                    })
                    .await;
                self.journal_committed().await;
                done
            }
            Some(Next::Blobs(found)) => match self.remove(found, Going::All, now).await? {
                // Somebody copies them; the rest waits.
                0 => Ok(CarriedOut::Nothing),
                _ => Ok(CarriedOut::Removed),
            },
            Some(Next::Remove(of, kind, found)) => {
                self.write_alone(64 + 16 * found.len(), of, move |tx| {
                    must_do_chores(tx)?;
                    for (key, number) in &found {
                        remove(tx, kind, of, *key, *number)?;
                    }
                    Ok(CarriedOut::Removed)
                })
                .await
            }
            Some(Next::Empty(of)) => {
                // What its last calls left without a number is found by none.
                self.database().number_feeds(of).await?;
                let again = self.read(move |connection, _| next(connection, limit, now)).await?;
                if !matches!(again, Some(Next::Empty(still)) if still == of) {
                    return Ok(CarriedOut::Removed);
                }
                self.write_alone(64, of, move |tx| {
                    must_do_chores(tx)?;
                    if tx.shared().nodes == Nodes::Several {
                        tx.sql("DELETE FROM feed_heads WHERE organization = ?")
                            .execute([of.key()])?;
                    }
                    tx.sql("UPDATE organizations SET emptied_at = ? WHERE organization = ?")
                        .execute([now.as_millis(), of.key()])?;
                    let by = Caller::new(of, Actor::System);
                    tx.audit(&by, EMPTIED, &of.to_string(), now)?;
                    Ok(CarriedOut::Emptied)
                })
                .await
            }
        }
    }
}

fn organization(tx: &Tx<'_>, of: OrganizationId) -> StorageResult<Organization> {
    by_id(tx.connection(), of)?.ok_or(StorageError::Refused(Refusal::NotFound("the organization")))
}

/// Whether anything is sent to an organization's endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspended {
    Yes,
    No,
}

/// Suspends an organization's endpoints or lets them go on, and sees that the engine hears of it. They are few.
fn suspend(
    tx: &mut Tx<'_>,
    of: OrganizationId,
    suspended: Suspended,
    now: Timestamp,
) -> StorageResult<()> {
    tx.sql("UPDATE endpoints SET suspended = ? WHERE organization = ? AND state != 'deleted'")
        .execute(params![suspended == Suspended::Yes, of.key()])?;
    for endpoint in live_endpoints(tx, of)? {
        changed(tx, of, endpoint, now)?;
    }
    Ok(())
}

fn live_endpoints(tx: &Tx<'_>, of: OrganizationId) -> StorageResult<Vec<EndpointId>> {
    tx.sql("SELECT endpoint FROM endpoints WHERE organization = ? AND state != 'deleted' ORDER BY endpoint")
        .all([of.key()], |row| id(row, "endpoint"))
}

/// What is to be done next.
enum Next {
    Destroy(OrganizationId),
    Blobs(Vec<BlobId>),
    Remove(OrganizationId, &'static Kind, Vec<(i64, i64)>),
    Empty(OrganizationId),
}

fn next(connection: &dyn Sql, limit: u32, now: Timestamp) -> StorageResult<Option<Next>> {
    let leaving: Option<Organization> = connection
        .sql(
            "SELECT * FROM organizations INDEXED BY organizations_leaving \
             WHERE deletes_at <= ? AND emptied_at IS NULL ORDER BY state = 'deleted', deletes_at LIMIT 1",
        ).maybe([now.as_millis()], organizations::of_row)?;
    let Some(leaving) = leaving else { return Ok(None) };
    if leaving.state.is_due(now) {
        return Ok(Some(Next::Destroy(leaving.id)));
    }
    let blobs = "SELECT blob FROM blobs WHERE organization = ? LIMIT ?";
    let blobs: Vec<BlobId> =
        connection.sql(blobs).all(params![leaving.id.key(), limit], |row| id(row, "blob"))?;
    if !blobs.is_empty() {
        return Ok(Some(Next::Blobs(blobs)));
    }
    for kind in KINDS {
        let found: Vec<(i64, i64)> =
            connection.sql(kind.find).all(params![leaving.id.key(), limit], |row| {
                Ok((row.get(0)?, if kind.unnumber.is_some() { row.get(1)? } else { 0 }))
            })?;
        if !found.is_empty() {
            return Ok(Some(Next::Remove(leaving.id, kind, found)));
        }
    }
    Ok(Some(Next::Empty(leaving.id)))
}

/// Destroys an organization's keys, with all that opens anything of it. What is sealed under them can be read by nobody
/// from then on, whatever is left of it. `since` is when they were destroyed first: earlier, in a store that was restored.
pub(crate) fn destroy(
    tx: &mut Tx<'_>,
    of: OrganizationId,
    entry: AuditEntryId,
    since: Timestamp,
    now: Timestamp,
) -> StorageResult<()> {
    tx.sql(
        "UPDATE organizations SET state = 'deleted', deleted_at = ?1, deletes_at = least(coalesce(deletes_at, ?1), ?1), \
         wrapped_key = ?4, wrapped_index_key = ?4, master_id = '', former_uri = uri, uri = ?2, name = NULL WHERE organization = ?3",
    )
    .execute(params![since.as_millis(), of.to_string(), of.key(), [0_u8; 0]])?;
    tx.sql("INSERT INTO destroyed (entry, organization, destroyed_at) VALUES (?, ?, ?)")
        .execute([entry.key(), of.key(), since.as_millis()])?;
    for statement in AT_ONCE {
        tx.sql(statement).execute([of.key()])?;
    }
    for endpoint in live_endpoints(tx, of)? {
        let line = tx.id::<abide_core::ids::Endpoint>(now);
        tx.sql(
            "UPDATE endpoints SET state = 'deleted', cancelled_through = ?, auth = NULL, auth_shown = NULL \
             WHERE endpoint = ?",
        )
        .execute([line.key(), endpoint.key()])?;
        changed(tx, of, endpoint, now)?;
    }
    tx.audit(&Caller::new(of, Actor::System), DESTROYED, &of.to_string(), now)?;
    // Opened keys of its people are in there, too.
    *tx.caches = Caches::default();
    tx.after(After::Ring);
    tx.after(After::Do(Box::new(move |shared| shared.organization_gone(of))));
    Ok(())
}

fn remove(
    tx: &Tx<'_>,
    kind: &Kind,
    of: OrganizationId,
    key: i64,
    number: i64,
) -> StorageResult<()> {
    if let Some(unnumber) = kind.unnumber
        && tx.shared().nodes == Nodes::Several
    {
        tx.sql(unnumber).execute([of.key(), number])?;
    }
    for statement in kind.remove {
        // Some rows are found by their organization, too.
        if statement.contains("?2") {
            tx.sql(statement).execute([key, of.key()])?;
        } else {
            tx.sql(statement).execute([key])?;
        }
    }
    Ok(())
}

/// The tables from which a deletion removes an organization's rows, and what becomes of its own log: for the test that asks
/// whether a table was forgotten.
pub fn emptied_tables() -> impl Iterator<Item = &'static str> {
    let statements = KINDS.iter().flat_map(|kind| kind.remove).chain(AT_ONCE).chain(ROWS);
    statements.filter_map(|statement| statement.split(' ').nth(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log keeps what tells of the deletion, and the page that removes the rest leaves it out.
    #[test]
    fn the_entries_of_the_deletion_stay() {
        let kind = KINDS.iter().find(|kind| kind.find.contains("FROM audit")).unwrap();
        for action in [ASKED, DESTROYED, EMPTIED] {
            assert!(kind.find.contains(&format!("'{action}'")), "{action}");
        }
    }
}
