//! Consents looked for by what they are, for readers.
//!
//! No index serves these lists: one more tree would cost every new record a write, and what the ledger has suffices. An
//! organization's decisions stand in its feed in the order they were recorded, and each record is met at the last of its
//! own. So the newest page reads little more than it shows, while a later page, a rare filter or a total reads on through
//! the feed: some microseconds for each decision, those since replaced included. [`BOUNDS`] ends that, and the answer then
//! says from where a filter by time goes on; where such a filter begins is found by halving the feed, which has no gaps.
//! A person's records have an index and are read as they are. What is sealed is opened for the page alone.

use std::ops::ControlFlow;

use crate::params;
use crate::sql::Sql;
use abide_core::Timestamp;
use abide_core::consent::PermissionState;
use abide_core::consent::verdict::HashFinding;
use abide_core::ids::{DecisionId, OrganizationId, Policy, PolicyId, PurposeId, SEQUENCE_BITS};
use abide_core::original::Reference;
use abide_storage::consent_search::{
    ConsentAnswer, ConsentFilter, ConsentPage, ConsentQuestion, Rest,
};
use abide_storage::sealing::{OrganizationKeys, SealingKey};
use abide_storage::{Page, PageWanted, StorageResult};

use crate::keys::organization_keys;
use crate::ledger::{self, ConsentRow};
use crate::originals;
use crate::people;
use crate::rows::{damaged, id, maybe_id};
use crate::said;
use crate::shared::Shared;

/// How far a list goes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Decisions it looks at.
    pub decisions: i64,
    /// Records it counts beyond the page's end.
    pub beyond: u64,
}

/// Under half a second for the worst of questions.
const BOUNDS: Bounds = Bounds { decisions: 100_000, beyond: 10_000 };

/// Decisions of one record that a hash is looked for among, from the last one back.
const HASHES: usize = 1_000;

/// A filter in the store's own terms.
struct Wanted {
    purpose: Option<PurposeId>,
    granted: Option<bool>,
    policy: Option<PolicyId>,
    /// The least key of a last decision.
    from: i64,
    /// What such a key lies below.
    to: i64,
}

/// The page that is asked for, gathered row by row.
struct Gathered {
    skipped: u64,
    limit: usize,
    most: u64,
    seen: u64,
    rows: Vec<ConsentRow>,
}

impl Gathered {
    fn new(page: PageWanted, bounds: Bounds) -> Self {
        let (skipped, limit) = (page.offset(), page.limit as usize);
        let most = skipped + limit as u64 + bounds.beyond;
        Self { skipped, limit, most, seen: 0, rows: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.seen == self.most
    }

    fn take<E>(&mut self, row: impl FnOnce() -> Result<ConsentRow, E>) -> Result<(), E> {
        if self.seen >= self.skipped && self.rows.len() < self.limit {
            self.rows.push(row()?);
        }
        self.seen += 1;
        Ok(())
    }
}

pub(crate) fn list(
    connection: &dyn Sql,
    shared: &Shared,
    organization: OrganizationId,
    filter: &ConsentFilter,
    page: PageWanted,
) -> StorageResult<ConsentPage> {
    list_within(connection, shared, organization, filter, page, BOUNDS)
}

/// A page of records, reading no more than that.
pub fn list_within(
    connection: &dyn Sql,
    shared: &Shared,
    organization: OrganizationId,
    filter: &ConsentFilter,
    page: PageWanted,
    bounds: Bounds,
) -> StorageResult<ConsentPage> {
    let keys = organization_keys(connection, shared, organization)?;
    let mut gathered = Gathered::new(page, bounds);
    let key_at = |at: Timestamp| at.as_millis() << SEQUENCE_BITS;
    let policy = policy_wanted(connection, &keys, organization, filter.policy.as_ref())?;
    let purpose = match &filter.purpose {
        Some(name) => purpose_named(connection, organization, name)?.map(Some),
        None => Some(None),
    };
    let rest = match purpose {
        // Nobody was ever asked about it.
        None => Rest::Nothing,
        Some(purpose) => {
            let wanted = Wanted {
                purpose,
                granted: filter.granted,
                policy,
                from: filter.from.map_or(0, key_at),
                to: filter.to.map_or(i64::MAX, key_at),
            };
            match &filter.reference {
                Some(reference) => gather_person(
                    connection,
                    &keys,
                    organization,
                    reference,
                    &wanted,
                    &mut gathered,
                )?,
                None => gather(connection, organization, &wanted, bounds, &mut gathered)?,
            }
        }
    };
    let mut items = Vec::with_capacity(gathered.rows.len());
    for row in &gathered.rows {
        items.extend(ledger::view(connection, &keys, row)?);
    }
    Ok(ConsentPage { page: Page { items, total: gathered.seen }, rest })
}

/// Through the organization's feed, from its end.
fn gather(
    connection: &dyn Sql,
    organization: OrganizationId,
    wanted: &Wanted,
    bounds: Bounds,
    gathered: &mut Gathered,
) -> StorageResult<Rest> {
    let head = head(connection, organization)?;
    let first = first_from(connection, organization, head, wanted.from)?;
    let last = match wanted.to {
        i64::MAX => head,
        to => first_from(connection, organization, head, to)? - 1,
    };
    let lowest = first.max(last - bounds.decisions + 1);
    let statement = connection.sql(
            "SELECT consents.* FROM numbered_decisions AS decisions CROSS JOIN consents ON consents.consent = decisions.consent \
             AND consents.latest = decisions.decision CROSS JOIN subjects ON subjects.subject = consents.subject \
             WHERE decisions.organization = ?1 AND decisions.log_index >= ?2 AND decisions.log_index <= ?3 \
             AND subjects.wrapped_key IS NOT NULL AND (consents.purpose = ?4 OR ?4 IS NULL) \
             AND ((consents.state IS NOT DISTINCT FROM 'GRANTED') = ?5 OR ?5 IS NULL) \
             AND ((SELECT policy FROM decisions AS shown \
             WHERE shown.decision = coalesce(consents.in_force, consents.latest)) = ?6 OR ?6 IS NULL) \
             ORDER BY decisions.log_index DESC LIMIT ?7",
        );
    let mut is_full = false;
    let bounds = params![
        organization.key(),
        lowest,
        last,
        wanted.purpose.map(PurposeId::key),
        wanted.granted,
        wanted.policy.map(PolicyId::key),
        bounds.decisions,
    ];
    statement.each_of_many(bounds, |row| {
        if gathered.is_full() {
            is_full = true;
            return Ok(ControlFlow::Break(()));
        }
        gathered.take(|| ConsentRow::read(row))?;
        Ok(ControlFlow::Continue(()))
    })?;
    if is_full {
        return Ok(Rest::Uncounted);
    }
    if lowest <= first {
        return Ok(Rest::Nothing);
    }
    let oldest = at_index(connection, organization, lowest)?;
    let oldest = oldest.ok_or_else(|| damaged("decisions.log_index"))?;
    // Decisions of the same millisecond may not have been looked at either.
    Ok(Rest::Before(oldest.drawn_at().plus_millis(1)))
}

/// Through one person's records.
fn gather_person(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    reference: &str,
    wanted: &Wanted,
    gathered: &mut Gathered,
) -> StorageResult<Rest> {
    let Some(subject) = people::known_as(connection, keys, organization, reference)? else {
        return Ok(Rest::Nothing);
    };
    let mut rows = ledger::all_of(connection, subject)?;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.latest));
    for row in rows {
        let decided = row.latest.map_or(0, DecisionId::key);
        let is_wanted = (wanted.from..wanted.to).contains(&decided)
            && wanted.purpose.is_none_or(|purpose| purpose == row.purpose)
            && wanted.granted.is_none_or(|granted| granted == grants(&row))
            && names(connection, &row, wanted.policy)?;
        if !is_wanted {
            continue;
        }
        if gathered.is_full() {
            return Ok(Rest::Uncounted);
        }
        gathered.take(|| Ok::<_, abide_storage::StorageError>(row))?;
    }
    Ok(Rest::Nothing)
}

fn grants(row: &ConsentRow) -> bool {
    row.standing.in_force.is_some_and(|held| held.state == PermissionState::Granted)
}

/// Whether the decision shown names that policy, if one is wanted.
fn names(connection: &dyn Sql, row: &ConsentRow, wanted: Option<PolicyId>) -> StorageResult<bool> {
    let Some(wanted) = wanted else { return Ok(true) };
    let named: Option<PolicyId> = connection
        .sql("SELECT policy FROM decisions WHERE decision = ?")
        .one([row.shown().map_or(0, DecisionId::key)], |row| maybe_id(row, "policy"))?;
    Ok(named == Some(wanted))
}

fn policy_wanted(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    wanted: Option<&Reference<Policy>>,
) -> StorageResult<Option<PolicyId>> {
    let named = |wanted| originals::policy_named(connection, keys, organization, wanted);
    wanted.map(named).transpose()
}

fn purpose_named(
    connection: &dyn Sql,
    organization: OrganizationId,
    name: &str,
) -> StorageResult<Option<PurposeId>> {
    connection
        .sql("SELECT purpose FROM purposes WHERE organization = ? AND name = ?")
        .maybe(params![organization.key(), name], |row| id(row, "purpose"))
}

/// The last number in the feed of decisions.
fn head(connection: &dyn Sql, organization: OrganizationId) -> StorageResult<i64> {
    let last: Option<i64> = connection
        .sql(
            "SELECT log_index FROM numbered_decisions WHERE organization = ? ORDER BY log_index DESC LIMIT 1",
        ).maybe([organization.key()], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

fn at_index(
    connection: &dyn Sql,
    organization: OrganizationId,
    log_index: i64,
) -> StorageResult<Option<DecisionId>> {
    connection
        .sql("SELECT decision FROM numbered_decisions WHERE organization = ? AND log_index = ?")
        .maybe([organization.key(), log_index], |row| id(row, 0))
}

/// The number of the first decision with that key or a later one; the one after `head` where there is none. The feed's
/// numbers and its keys grow together.
fn first_from(
    connection: &dyn Sql,
    organization: OrganizationId,
    head: i64,
    key: i64,
) -> StorageResult<i64> {
    let (mut low, mut high) = (1, head + 1);
    while low < high && key > 0 {
        let middle = low.midpoint(high);
        let found = at_index(connection, organization, middle)?;
        if found.is_some_and(|decision| decision.key() >= key) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

pub(crate) fn verify(
    connection: &dyn Sql,
    shared: &Shared,
    organization: OrganizationId,
    question: &ConsentQuestion,
    now: Timestamp,
) -> StorageResult<Option<ConsentAnswer>> {
    let keys = organization_keys(connection, shared, organization)?;
    let policy = policy_wanted(connection, &keys, organization, question.policy.as_ref())?;
    let Some(subject) = people::known_as(connection, &keys, organization, &question.reference)?
    else {
        return Ok(None);
    };
    let Some(key) = people::key_of(connection, &keys, subject)? else { return Ok(None) };
    let purpose = match &question.purpose {
        Some(name) => match purpose_named(connection, organization, name)? {
            Some(purpose) => Some(purpose),
            None => return Ok(None),
        },
        None => None,
    };
    let mut best: Option<ConsentRow> = None;
    for row in ledger::all_of(connection, subject)? {
        if purpose.is_some_and(|purpose| purpose != row.purpose) {
            continue;
        }
        let row = ledger::standing_at(connection, row, now)?;
        let is_asked = purpose.is_some() || names(connection, &row, policy)?;
        let rank = |row: &ConsentRow| (grants(row), row.latest);
        if is_asked && best.is_none_or(|best| rank(&row) > rank(&best)) {
            best = Some(row);
        }
    }
    let Some(row) = best else { return Ok(None) };
    let hash = match &question.hash {
        Some(hash) => Some(find_hash(connection, &key, &row, hash)?),
        None => None,
    };
    let consent = ledger::view_with(connection, &key, &row)?;
    Ok(Some(ConsentAnswer { consent, hash }))
}

/// Which of a record's decisions has that hash.
fn find_hash(
    connection: &dyn Sql,
    key: &SealingKey,
    row: &ConsentRow,
    hash: &str,
) -> StorageResult<HashFinding> {
    let shown = row.shown()?;
    let (current, _) = said::hash_again(connection, key, shown)?;
    if current == hash {
        return Ok(HashFinding::Current);
    }
    let mut next = row.latest;
    for _ in 0..HASHES {
        let Some(decision) = next else { break };
        let (found, previous) = said::hash_again(connection, key, decision)?;
        if found == hash {
            return Ok(HashFinding::Other);
        }
        next = previous;
    }
    Ok(HashFinding::Unknown)
}
