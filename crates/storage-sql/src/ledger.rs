//! Rows of the ledger: reading a consent record, taking a decision into it, judging it anew when its time comes.

use std::collections::HashSet;

use crate::params;
use crate::sql::{Bind, Row, Sql};
use abide_core::access::Caller;
use abide_core::consent::{
    Candidate, Change, ConsentView, MAX_CANDIDATES, Needed, PermissionState, Standing, Validity,
    decide,
};
use abide_core::event::EventKind;
use abide_core::ids::{ConsentId, DecisionId, OrganizationId, PurposeId, SubjectId};
use abide_core::original::PublicId;
use abide_core::{Refusal, Timestamp};
use abide_storage::StorageResult;
use abide_storage::imports::Telling;
use abide_storage::sealing::{OrganizationKeys, SealingKey};

use crate::after::refused;
use crate::people;
use crate::rows::{actor_text, at, damaged, id, maybe_at, maybe_id, maybe_named, named};
use crate::said::{Canonical, canonical, opened};
use crate::tx::Tx;

/// A consent record: where one (subject, purpose) stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConsentRow {
    pub(crate) id: ConsentId,
    pub(crate) organization: OrganizationId,
    pub(crate) subject: SubjectId,
    pub(crate) purpose: PurposeId,
    /// Decisions so far; 0 for a record not yet written.
    pub(crate) version: u32,
    pub(crate) latest: Option<DecisionId>,
    /// The newest decision that can be in force now or later.
    pub(crate) candidate: Option<DecisionId>,
    pub(crate) standing: Standing,
    pub(crate) created_at: Timestamp,
    /// Whether it was brought along under an id of its own, which stands sealed in its decisions.
    pub(crate) has_original: bool,
}

/// What taking a decision led to.
pub(crate) struct Taken {
    /// The record as it stands now.
    pub(crate) view: ConsentView,
    /// The event to tell, if any.
    pub(crate) event: Option<EventKind>,
}

/// The columns of the table of consents that are read, by their places: each decision reads a row, and a name is looked
/// for among all of them.
pub const CONSENT_COLUMNS: [(&str, usize); 17] = [
    ("consent", column::CONSENT),
    ("organization", column::ORGANIZATION),
    ("subject", column::SUBJECT),
    ("purpose", column::PURPOSE),
    ("version", column::VERSION),
    ("latest", column::LATEST),
    ("candidate", column::CANDIDATE),
    ("in_force", column::IN_FORCE),
    ("state", column::STATE),
    ("obtained_at", column::OBTAINED_AT),
    ("valid_from", column::VALID_FROM),
    ("valid_until", column::VALID_UNTIL),
    ("next_change_at", column::NEXT_CHANGE_AT),
    ("announced", column::ANNOUNCED),
    ("withdrawn_at", column::WITHDRAWN_AT),
    ("created_at", column::CREATED_AT),
    ("has_original", column::HAS_ORIGINAL),
];

/// Places of columns in the table of consents.
mod column {
    pub(super) const CONSENT: usize = 0;
    pub(super) const ORGANIZATION: usize = 1;
    pub(super) const SUBJECT: usize = 2;
    pub(super) const PURPOSE: usize = 3;
    pub(super) const VERSION: usize = 4;
    pub(super) const LATEST: usize = 5;
    pub(super) const CANDIDATE: usize = 6;
    pub(super) const IN_FORCE: usize = 7;
    pub(super) const STATE: usize = 8;
    pub(super) const OBTAINED_AT: usize = 9;
    pub(super) const VALID_FROM: usize = 10;
    pub(super) const VALID_UNTIL: usize = 11;
    pub(super) const NEXT_CHANGE_AT: usize = 12;
    pub(super) const ANNOUNCED: usize = 13;
    pub(super) const WITHDRAWN_AT: usize = 14;
    pub(super) const CREATED_AT: usize = 15;
    pub(super) const HAS_ORIGINAL: usize = 17;
}

impl ConsentRow {
    /// A record that is not yet written.
    pub(crate) fn fresh(
        id: ConsentId,
        organization: OrganizationId,
        subject: SubjectId,
        purpose: PurposeId,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            organization,
            subject,
            purpose,
            version: 0,
            latest: None,
            candidate: None,
            standing: Standing::default(),
            created_at: now,
            has_original: false,
        }
    }

    /// The decision that it shows: the one in force, or the latest when none is.
    pub(crate) fn shown(&self) -> StorageResult<DecisionId> {
        let shown = self.standing.in_force.map(|held| held.decision).or(self.latest);
        shown.ok_or_else(|| damaged("consents.latest"))
    }

    /// Out of the whole row. Each decision reads one, so columns are named by their place in the table: a name is
    /// looked for among all of them.
    pub(crate) fn read(row: &dyn Row) -> StorageResult<Self> {
        let in_force = match maybe_id(row, column::IN_FORCE)? {
            Some(decision) => Some(Candidate {
                decision,
                state: named(row, column::STATE, PermissionState::parse)?,
                obtained_at: at(row, column::OBTAINED_AT)?,
                validity: Validity {
                    from: maybe_at(row, column::VALID_FROM)?,
                    until: maybe_at(row, column::VALID_UNTIL)?,
                },
            }),
            None => None,
        };
        Ok(Self {
            id: id(row, column::CONSENT)?,
            organization: id(row, column::ORGANIZATION)?,
            subject: id(row, column::SUBJECT)?,
            purpose: id(row, column::PURPOSE)?,
            version: row.get(column::VERSION)?,
            latest: Some(id(row, column::LATEST)?),
            candidate: maybe_id(row, column::CANDIDATE)?,
            standing: Standing {
                in_force,
                next_change_at: maybe_at(row, column::NEXT_CHANGE_AT)?,
                announced: row.get(column::ANNOUNCED)?,
                withdrawn_at: maybe_at(row, column::WITHDRAWN_AT)?,
            },
            created_at: at(row, column::CREATED_AT)?,
            has_original: row.get(column::HAS_ORIGINAL)?,
        })
    }
}

const OF_PERSON: &str = "SELECT consents.* FROM consents WHERE subject = ? AND purpose = ?";

/// Reads the records of so many people, who are all kept for this transaction, and purposes at once.
pub(crate) fn look_ahead(
    tx: &mut Tx<'_>,
    of: &HashSet<(SubjectId, PurposeId)>,
) -> StorageResult<()> {
    let keys: Vec<_> = of.iter().map(|(subject, purpose)| (subject.key(), purpose.key())).collect();
    let sets: Vec<[&dyn Bind; 2]> =
        keys.iter().map(|(subject, purpose)| [subject as _, purpose as _]).collect();
    tx.caches.absent.records.extend(of);
    let (statement, caches) = (tx.sql(OF_PERSON), &mut *tx.caches);
    statement.look_at_all(&sets, |row| {
        let row = ConsentRow::read(row)?;
        caches.absent.records.remove(&(row.subject, row.purpose));
        caches.records.insert((row.subject, row.purpose), row);
        Ok(())
    })
}

/// The record of a person and purpose.
pub(crate) fn of_person(
    tx: &mut Tx<'_>,
    subject: SubjectId,
    purpose: PurposeId,
) -> StorageResult<Option<ConsentRow>> {
    if let Some(row) = tx.caches.records.get(&(subject, purpose)) {
        return Ok(Some(row));
    }
    if tx.caches.absent.records.contains(&(subject, purpose)) {
        return Ok(None);
    }
    let found = tx.sql(OF_PERSON).maybe([subject.key(), purpose.key()], ConsentRow::read)?;
    if let Some(row) = found {
        tx.caches.records.insert((subject, purpose), row);
    }
    Ok(found)
}

/// A record of an organization by its id.
pub(crate) fn by_id(
    connection: &dyn Sql,
    organization: OrganizationId,
    consent: ConsentId,
) -> StorageResult<Option<ConsentRow>> {
    connection
        .sql("SELECT * FROM consents WHERE consent = ? AND organization = ?")
        .maybe([consent.key(), organization.key()], ConsentRow::read)
}

/// Every record of a person, in the order of their ids.
pub(crate) fn all_of(connection: &dyn Sql, subject: SubjectId) -> StorageResult<Vec<ConsentRow>> {
    connection
        .sql("SELECT * FROM consents WHERE subject = ? ORDER BY consent")
        .all([subject.key()], ConsentRow::read)
}

/// Records whose standing time changes by `now`.
pub(crate) fn due_for_change(
    tx: &Tx<'_>,
    now: Timestamp,
    limit: u32,
) -> StorageResult<Vec<ConsentRow>> {
    tx.connection()
        .sql("SELECT * FROM consents WHERE next_change_at <= ? ORDER BY next_change_at LIMIT ?")
        .all(params![now.as_millis(), limit], ConsentRow::read)
}

/// Sets when time next changes a record; never, where its person was erased.
pub(crate) fn set_next_change(
    tx: &mut Tx<'_>,
    row: &ConsentRow,
    at: Option<Timestamp>,
) -> StorageResult<()> {
    tx.sql("UPDATE consents SET next_change_at = ? WHERE consent = ?")
        .execute(params![at.map(Timestamp::as_millis), row.id.key()])?;
    tx.caches.records.remove(&(row.subject, row.purpose));
    Ok(())
}

/// A record as it stands: the decision in force, or the latest when none is. `None` when its person was erased.
pub(crate) fn view(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    row: &ConsentRow,
) -> StorageResult<Option<ConsentView>> {
    match people::key_of(connection, keys, row.subject)? {
        Some(key) => view_with(connection, &key, row).map(Some),
        None => Ok(None),
    }
}

/// [`view`] with the person's key in hand.
pub(crate) fn view_with(
    connection: &dyn Sql,
    key: &SealingKey,
    row: &ConsentRow,
) -> StorageResult<ConsentView> {
    let shown = Shown {
        consent: row.id,
        decision: row.shown()?,
        version: row.version,
        state: row.standing.in_force.map(|held| held.state),
        withdrawn_at: row.standing.withdrawn_at,
    };
    shown.read(connection, row.subject, key)
}

/// A record at some time, told by the decision that it showed then and by how it stood.
pub(crate) struct Shown {
    pub(crate) consent: ConsentId,
    pub(crate) decision: DecisionId,
    pub(crate) version: u32,
    pub(crate) state: Option<PermissionState>,
    pub(crate) withdrawn_at: Option<Timestamp>,
}

impl Shown {
    /// Out of a row that has a column for each field.
    pub(crate) fn of_row(row: &dyn Row) -> StorageResult<Self> {
        Ok(Self {
            consent: id(row, "consent")?,
            decision: id(row, "decision")?,
            version: row.get("version")?,
            state: maybe_named(row, "state", PermissionState::parse)?,
            withdrawn_at: maybe_at(row, "withdrawn_at")?,
        })
    }

    /// The whole record, with its person's key in hand.
    pub(crate) fn read(
        &self,
        connection: &dyn Sql,
        subject: SubjectId,
        key: &SealingKey,
    ) -> StorageResult<ConsentView> {
        let (sealed, created_at): (Vec<u8>, Timestamp) = connection
            .sql(
                "SELECT decisions.sealed, consents.created_at FROM decisions JOIN consents USING (consent) \
                 WHERE decision = ? AND decisions.subject = ?",
            ).one([self.decision.key(), subject.key()], |row| {
                    Ok((row.get(0)?, at(row, 1)?))
                })?;
        let opened = opened(key, self.decision, &sealed)?;
        let canonical = canonical(&opened)?;
        Ok(ConsentView {
            id: PublicId { id: self.consent, original: canonical.original },
            version: self.version,
            decision: self.decision,
            subject,
            reference: canonical.reference.into_owned(),
            email: canonical.email.map(std::borrow::Cow::into_owned),
            purpose: canonical.purpose.into_owned(),
            policy: canonical.policy.map(|id| PublicId { id, original: canonical.policy_original }),
            basis: canonical.basis,
            state: self.state,
            consent_hash: canonical.consent_hash.into_owned(),
            metadata: canonical.metadata,
            ip_address: canonical.ip_address.map(std::borrow::Cow::into_owned),
            obtained_at: canonical.obtained_at,
            recorded_at: canonical.recorded_at,
            validity: canonical.validity,
            created_at,
            withdrawn_at: self.withdrawn_at,
        })
    }
}

/// What a decision decided.
pub(crate) fn decided(tx: &Tx<'_>, decision: DecisionId) -> StorageResult<PermissionState> {
    tx.sql("SELECT state FROM decisions WHERE decision = ?")
        .one([decision.key()], |row| named(row, "state", PermissionState::parse))
}

/// How a decision came here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Came {
    /// It was recorded here, now.
    Recorded,
    /// It was recorded elsewhere and is brought along.
    Brought(Brought),
}

/// What a decision that is brought along says beyond itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brought {
    /// Now.
    pub(crate) at: Timestamp,
    /// Whether endpoints hear of it.
    pub(crate) telling: Telling,
    /// When consent was withdrawn, if that was said.
    pub(crate) withdrawn_at: Option<Timestamp>,
}

impl Came {
    fn imported_at(self) -> Option<Timestamp> {
        match self {
            Self::Recorded => None,
            Self::Brought(brought) => Some(brought.at),
        }
    }

    /// What follows here: times are those of the decision, not of the moment in which it came, and where nothing is told
    /// now, what comes later is not told as the first.
    fn change(self, before: &Standing, change: Change, new: &ConsentView) -> Change {
        let Self::Brought(brought) = self else { return change };
        let Change { mut standing, mut event } = change;
        let grants = standing.in_force.is_some_and(|held| held.state == PermissionState::Granted);
        let gave_way = match new.state {
            // It was over before it came here.
            Some(PermissionState::Granted) => {
                new.validity.until.filter(|until| *until <= brought.at)
            }
            _ => brought.withdrawn_at.or_else(|| {
                (event == Some(EventKind::ConsentWithdrawn)).then_some(new.recorded_at)
            }),
        };
        standing.withdrawn_at = if grants { None } else { gave_way.or(before.withdrawn_at) };
        if brought.telling == Telling::Nothing {
            event = None;
            let is_said =
                matches!(new.state, Some(PermissionState::Granted | PermissionState::Denied));
            standing.announced = before.announced || is_said;
        }
        Change { standing, event }
    }
}

/// What a new decision decides.
fn state_of(new: &ConsentView) -> StorageResult<PermissionState> {
    new.state.ok_or_else(|| damaged("decisions.state"))
}

/// Takes a new decision, described by `new`, into its record: writes it, its place in the feed, and the record.
pub(crate) fn take(
    tx: &mut Tx<'_>,
    by: &Caller,
    key: &SealingKey,
    row: ConsentRow,
    new: ConsentView,
    came: Came,
    now: Timestamp,
) -> StorageResult<Taken> {
    let state = state_of(&new)?;
    let candidate = Candidate {
        decision: new.decision,
        state,
        obtained_at: new.obtained_at,
        validity: new.validity,
    };
    let (change, chain) = judge(tx, &row, candidate, now)?;
    let change = came.change(&row.standing, change, &new);
    insert_decision(tx, by, key, &row, &chain, &new, came)?;
    let next = ConsentRow {
        version: row.version + 1,
        latest: Some(new.decision),
        candidate: chain.first,
        standing: change.standing,
        ..row
    };
    let place = if row.latest.is_none() { RowPlace::New } else { RowPlace::Known };
    write_row(tx, &next, place)?;
    let in_force = change.standing.in_force;
    let view = if in_force.is_none_or(|held| held.decision == new.decision) {
        ConsentView {
            state: in_force.map(|held| held.state),
            withdrawn_at: change.standing.withdrawn_at,
            ..new
        }
    } else {
        view_with(tx.connection(), key, &next)?
    };
    Ok(Taken { view, event: change.event })
}

/// When each of a record's decisions was recorded, newest first.
pub(crate) fn recorded_times(
    connection: &dyn Sql,
    row: &ConsentRow,
) -> StorageResult<Vec<(Timestamp, DecisionId)>> {
    let statement =
        connection.sql("SELECT recorded_at, previous FROM decisions WHERE decision = ?");
    let mut times = Vec::new();
    let mut next = row.latest;
    while let Some(decision) = next {
        let (recorded_at, previous) = statement.one([decision.key()], |row| {
            Ok((at(row, "recorded_at")?, maybe_id(row, "previous")?))
        })?;
        times.push((recorded_at, decision));
        next = previous;
    }
    Ok(times)
}

/// A record's candidates once a decision is taken: the first, and what follows the new one.
struct Chain {
    first: Option<DecisionId>,
    next: Option<DecisionId>,
}

/// Refuses a decision given for a time that its record has no room for, reading only.
pub(crate) fn has_room(
    tx: &Tx<'_>,
    row: &ConsentRow,
    new: Candidate,
    now: Timestamp,
) -> StorageResult<()> {
    judge(tx, row, new, now).map(|_| ())
}

/// Judges a record with a new decision, reading no more of the older ones than it takes.
fn judge(
    tx: &Tx<'_>,
    row: &ConsentRow,
    new: Candidate,
    now: Timestamp,
) -> StorageResult<(Change, Chain)> {
    let alone = Chain { first: Some(new.decision), next: None };
    let as_before = Chain { first: row.candidate, next: None };
    match row.standing.needed_for(&new, now) {
        Needed::NewAlone => Ok((decide(&row.standing, &[new], now), alone)),
        Needed::Nothing => Ok((Change { standing: row.standing, event: None }, as_before)),
        Needed::Candidates => {
            let mut candidates = candidates(tx, row.candidate)?;
            let chain = match new.joins(&candidates, now) {
                None => as_before,
                Some(left) => {
                    let is_bound = new.validity != Validity::default();
                    if is_bound && left.len() >= MAX_CANDIDATES {
                        let problem = format!(
                            "cannot be taken: this record has {MAX_CANDIDATES} decisions given for a time; record one \
                             without `valid_from` and `valid_until` first"
                        );
                        return refused(Refusal::field("valid_until", problem));
                    }
                    Chain { next: left.first().map(|one| one.decision), ..alone }
                }
            };
            candidates.push(new);
            Ok((decide(&row.standing, &candidates, now), chain))
        }
    }
}

/// Judges a record anew because its time has come.
pub(crate) fn judge_again(
    tx: &mut Tx<'_>,
    key: &SealingKey,
    row: ConsentRow,
    now: Timestamp,
) -> StorageResult<Taken> {
    let Change { standing, event } = decide(&row.standing, &candidates(tx, row.candidate)?, now);
    let next = ConsentRow { standing, ..row };
    // Read before anything is written: a record that cannot be read is left as it was.
    let view = view_with(tx.connection(), key, &next)?;
    write_row(tx, &next, RowPlace::Known)?;
    Ok(Taken { view, event })
}

/// A record as it stands at `now`, though nobody has told its change yet.
pub(crate) fn standing_at(
    connection: &dyn Sql,
    row: ConsentRow,
    now: Timestamp,
) -> StorageResult<ConsentRow> {
    if row.standing.next_change_at.is_none_or(|at| at > now) {
        return Ok(row);
    }
    let candidates = follow_candidates(connection, row.candidate)?;
    Ok(ConsentRow { standing: decide(&row.standing, &candidates, now).standing, ..row })
}

fn insert_decision(
    tx: &mut Tx<'_>,
    by: &Caller,
    key: &SealingKey,
    row: &ConsentRow,
    chain: &Chain,
    new: &ConsentView,
    came: Came,
) -> StorageResult<()> {
    let state = state_of(new)?;
    let recorded_by = actor_text(by.actor);
    let canonical = Canonical {
        decision: new.decision,
        consent: new.id.id,
        reference: new.reference.as_str().into(),
        email: new.email.as_deref().map(Into::into),
        purpose: new.purpose.as_str().into(),
        policy: new.policy.as_ref().map(|policy| policy.id),
        basis: new.basis,
        state,
        obtained_at: new.obtained_at,
        recorded_at: new.recorded_at,
        validity: new.validity,
        recorded_by: recorded_by.as_str().into(),
        consent_hash: new.consent_hash.as_str().into(),
        metadata: new.metadata.clone(),
        ip_address: new.ip_address.as_deref().map(Into::into),
        original: new.id.original.clone(),
        policy_original: new.policy.as_ref().and_then(|policy| policy.original.clone()),
        imported_at: came.imported_at(),
    };
    let (sealed, commitment) = canonical.seal(tx, key)?;
    let log_index = tx.number_decision(row.organization, new.decision)?;
    tx.sql(
        "INSERT INTO decisions (decision, organization, consent, subject, policy, basis, state, obtained_at, \
         recorded_at, valid_from, valid_until, previous, next_candidate, recorded_by, log_index, sealed, commitment) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .later(new.decision.key(), params![
        new.decision.key(),
        row.organization.key(),
        new.id.id.key(),
        row.subject.key(),
        new.policy.as_ref().map(|policy| policy.id.key()),
        new.basis.as_str(),
        state.as_str(),
        new.obtained_at.as_millis(),
        new.recorded_at.as_millis(),
        new.validity.from.map(Timestamp::as_millis),
        new.validity.until.map(Timestamp::as_millis),
        row.latest.map(abide_core::ids::Id::key),
        chain.next.map(abide_core::ids::Id::key),
        recorded_by,
        log_index,
        sealed,
        commitment,
    ])
}

/// Whether a record stands in the table before it is written.
#[derive(Debug, Clone, Copy)]
enum RowPlace {
    /// Its first decision inserts it.
    New,
    /// It is updated in place, which checks no unique index. All that never changes names the row.
    Known,
}

fn write_row(tx: &mut Tx<'_>, row: &ConsentRow, place: RowPlace) -> StorageResult<()> {
    let held = row.standing.in_force;
    let statement = match place {
        RowPlace::New => {
            "INSERT INTO consents (version, latest, in_force, state, obtained_at, valid_from, valid_until, \
         next_change_at, announced, withdrawn_at, consent, organization, subject, purpose, created_at, candidate, \
         has_original) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
        }
        RowPlace::Known => {
            "UPDATE consents SET version = ?1, latest = ?2, in_force = ?3, state = ?4, obtained_at = ?5, \
         valid_from = ?6, valid_until = ?7, next_change_at = ?8, announced = ?9, withdrawn_at = ?10, \
         candidate = ?16 WHERE consent = ?11 AND organization = ?12 AND subject = ?13 AND purpose = ?14 AND created_at = ?15 \
         AND has_original = ?17"
        }
    };
    tx.sql(statement).later(
        row.id.key(),
        params![
            row.version,
            row.latest.map(abide_core::ids::Id::key),
            held.map(|held| held.decision.key()),
            held.map(|held| held.state.as_str()),
            held.map(|held| held.obtained_at.as_millis()),
            held.and_then(|held| held.validity.from).map(Timestamp::as_millis),
            held.and_then(|held| held.validity.until).map(Timestamp::as_millis),
            row.standing.next_change_at.map(Timestamp::as_millis),
            row.standing.announced,
            row.standing.withdrawn_at.map(Timestamp::as_millis),
            row.id.key(),
            row.organization.key(),
            row.subject.key(),
            row.purpose.key(),
            row.created_at.as_millis(),
            row.candidate.map(abide_core::ids::Id::key),
            row.has_original,
        ],
    )?;
    tx.caches.absent.records.remove(&(row.subject, row.purpose));
    tx.caches.records.insert((row.subject, row.purpose), *row);
    Ok(())
}

/// The decisions of a record that can be in force now or later, newest first, and perhaps some that cannot any more.
pub(crate) fn candidates(tx: &Tx<'_>, first: Option<DecisionId>) -> StorageResult<Vec<Candidate>> {
    follow_candidates(tx.connection(), first)
}

const CANDIDATE: &str = "SELECT state, obtained_at, valid_from, valid_until, next_candidate FROM decisions WHERE decision = ?";

fn follow_candidates(
    connection: &dyn Sql,
    first: Option<DecisionId>,
) -> StorageResult<Vec<Candidate>> {
    let statement = connection.sql(CANDIDATE);
    let mut candidates = Vec::new();
    let mut next = first;
    while let Some(decision) = next {
        let (candidate, following) = statement.one([decision.key()], |row| {
            let candidate = Candidate {
                decision,
                state: named(row, "state", PermissionState::parse)?,
                obtained_at: at(row, "obtained_at")?,
                validity: Validity {
                    from: maybe_at(row, "valid_from")?,
                    until: maybe_at(row, "valid_until")?,
                },
            };
            Ok((candidate, maybe_id(row, "next_candidate")?))
        })?;
        candidates.push(candidate);
        next = following;
    }
    Ok(candidates)
}
