//! Finding what was brought along by the id that it had before.
//!
//! By a keyed hash, as people are: the original id of a consent record may say something about its person. Whatever was
//! made here has no row, and is found by its own id without a look at these.

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::Refusal;
use abide_core::ids::{Id, IdProblem, Kind, OrganizationId, Policy, PolicyId};
use abide_core::original::{OriginalId, Reference};
use abide_storage::imports::OriginalOf;
use abide_storage::sealing::OrganizationKeys;
use abide_storage::{StorageError, StorageResult};

use crate::tx::Tx;

fn kind_text(of: OriginalOf) -> &'static str {
    match of {
        OriginalOf::Endpoint => "endpoint",
        OriginalOf::Policy => "policy",
        OriginalOf::Consent => "consent",
    }
}

fn blind(keys: &OrganizationKeys, of: OriginalOf, original: &OriginalId) -> [u8; 16] {
    let kind = match of {
        OriginalOf::Endpoint => "original.endpoint",
        OriginalOf::Policy => "original.policy",
        OriginalOf::Consent => "original.consent",
    };
    keys.index_key.blind(kind, original.as_str()).0
}

/// The key of what had that id elsewhere.
pub(crate) fn find(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    of: OriginalOf,
    original: &OriginalId,
) -> StorageResult<Option<i64>> {
    connection
        .sql("SELECT key FROM originals WHERE organization = ? AND kind = ? AND blind = ?")
        .maybe(params![organization.key(), kind_text(of), blind(keys, of, original)], |row| {
            row.get(0)
        })
}

/// Keeps what something new had as its id.
pub(crate) fn keep(
    tx: &Tx<'_>,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    of: OriginalOf,
    original: &OriginalId,
    key: i64,
) -> StorageResult<()> {
    tx.sql("INSERT INTO originals (organization, kind, blind, key) VALUES (?, ?, ?, ?)")
        .execute(params![organization.key(), kind_text(of), blind(keys, of, original), key])?;
    Ok(())
}

/// Frees the original id of something that is gone.
pub(crate) fn forget(tx: &Tx<'_>, key: i64) -> StorageResult<()> {
    tx.sql("DELETE FROM originals WHERE key = ?").execute([key])?;
    Ok(())
}

/// An `original` column.
pub(crate) fn of_row(row: &dyn Row) -> StorageResult<Option<OriginalId>> {
    crate::rows::maybe_named(row, "original", OriginalId::parse)
}

/// Which policy version a caller means, for readers. An original id that nothing had is refused.
pub(crate) fn policy_named(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    reference: &Reference<Policy>,
) -> StorageResult<PolicyId> {
    let original = match reference {
        Reference::Own(id) => return Ok(*id),
        Reference::Original(original) => original,
    };
    let found = find(connection, keys, organization, OriginalOf::Policy, original)?;
    found.map(Id::from_key).ok_or_else(|| StorageError::Refused(unknown_policy(original)))
}

/// [`policy_named`] for the writer, from memory where it was met before: a policy keeps its ids for ever.
pub(crate) fn policy_named_in(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    reference: &Reference<Policy>,
) -> StorageResult<PolicyId> {
    let original = match reference {
        Reference::Own(id) => return Ok(*id),
        Reference::Original(original) => original,
    };
    let cached = (organization, original.clone());
    if let Some(policy) = tx.caches.original_policies.get(&cached) {
        return Ok(policy);
    }
    let keys = tx.keys(organization)?;
    let policy = policy_named(tx.connection(), &keys, organization, reference)?;
    tx.caches.original_policies.insert(cached, policy);
    Ok(policy)
}

/// What is said of a text that names no policy. Nobody knows whether it was meant for an original id that was never brought
/// along or for one of Abide's, so both are told.
fn unknown_policy(original: &OriginalId) -> Refusal {
    let otherwise = match no_such::<Policy>(original) {
        IdProblem::Prefix { prefix, .. } => format!("ids made here begin with `{prefix}_`"),
        IdProblem::Damaged { .. } => "an id made here would be mistyped or cut short".to_owned(),
    };
    let problem = format!("names no policy of this organization; {otherwise}");
    Refusal::field("policy_id", problem)
}

/// Why a text is no id of Abide's.
fn no_such<K: Kind>(original: &OriginalId) -> IdProblem {
    match Id::<K>::parse(original.as_str()) {
        Err(problem) => problem,
        // A reference is only taken for an original where it is none of Abide's.
        Ok(_) => IdProblem::Damaged { wanted: K::NAME },
    }
}
