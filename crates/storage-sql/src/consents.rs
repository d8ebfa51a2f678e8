//! The consent ledger.

use std::sync::Arc;

use abide_core::access::{Actor, Caller};
use abide_core::consent::hash::{HashedFields, consent_hash};
use abide_core::consent::{
    Candidate, ConsentPatch, ConsentView, LawfulBasis, MAX_CANDIDATES, NewDecision,
    PermissionState, SubjectInput, Validity, grants_in_time,
};
use abide_core::event::{Event, EventBody, EventKind, RENDER_VERSION};
use abide_core::ids::{Batch, Consent, ConsentId, Decision, DecisionId, OrganizationId, Policy};
use abide_core::json::JsonObject;
use abide_core::original::{OriginalId, PublicId, Reference};
use abide_core::policy::text_field;
use abide_core::{Refusal, Timestamp};
use abide_storage::consent_search::{ConsentAnswer, ConsentFilter, ConsentPage, ConsentQuestion};
use abide_storage::consents::RecordedBatch;
use abide_storage::{Consents, PageWanted, StorageError, StorageResult};
use async_trait::async_trait;

use crate::after::refused;
use crate::consent_search;
use crate::database::Database;
use crate::keys::unless_destroyed;
use crate::leases::must_do_chores;
use crate::ledger::{self, Came, ConsentRow, Taken};
use crate::organizations::{self, has_strict_purposes};
use crate::originals;
use crate::people;
use crate::publish::{self, publish};
use crate::purposes;
use crate::said;
use crate::store::SqlStore;
use crate::tx::Tx;

/// Decisions per batch call.
const BATCH_LIMIT: usize = 1_000;

#[async_trait]
impl<D: Database> Consents for SqlStore<D> {
    async fn record(
        &self,
        by: &Caller,
        new: NewDecision,
        now: Timestamp,
    ) -> StorageResult<ConsentView> {
        self.act_on_decisions(by, Arc::new([new]), now, move |tx, by, new| {
            record_one(tx, by, &new[0], now)
        })
        .await
    }

    async fn record_batch(
        &self,
        by: &Caller,
        new: Vec<NewDecision>,
        now: Timestamp,
    ) -> StorageResult<RecordedBatch> {
        if new.is_empty() || new.len() > BATCH_LIMIT {
            return refused(Refusal::field("consents", "must hold 1 to 1,000 consents"));
        }
        self.act_on_decisions(by, new.into(), now, move |tx, by, new| {
            record_batch(tx, by, new, now)
        })
        .await
    }

    async fn change(
        &self,
        by: &Caller,
        consent: ConsentId,
        patch: ConsentPatch,
        now: Timestamp,
    ) -> StorageResult<ConsentView> {
        patch.check()?;
        self.act_on_people(by, 4_096, now, move |tx, by| {
            let Existing { shown, decided, .. } = existing(tx, by.organization, consent, now)?;
            let new = patched(&shown, decided, &patch);
            follow(tx, by, &shown, &new, patch.policy.as_ref(), now)
        })
        .await
    }

    async fn withdraw(
        &self,
        by: &Caller,
        consent: ConsentId,
        metadata: Option<JsonObject>,
        now: Timestamp,
    ) -> StorageResult<ConsentView> {
        let metadata = metadata.map(Some);
        let patch = ConsentPatch { granted: Some(false), metadata, ..ConsentPatch::default() };
        patch.check()?;
        self.act_on_people(by, 4_096, now, move |tx, by| {
            let Existing { shown, decided, may_grant } =
                existing(tx, by.organization, consent, now)?;
            if !may_grant {
                return Ok(shown);
            }
            let new = patched(&shown, decided, &patch);
            follow(tx, by, &shown, &new, patch.policy.as_ref(), now)
        })
        .await
    }

    async fn get(
        &self,
        organization: OrganizationId,
        consent: ConsentId,
    ) -> StorageResult<Option<ConsentView>> {
        self.read(move |connection, shared| {
            let keys = crate::keys::organization_keys(connection, shared, organization)?;
            let Some(row) = ledger::by_id(connection, organization, consent)? else {
                return Ok(None);
            };
            ledger::view(connection, &keys, &row)
        })
        .await
    }

    async fn list(
        &self,
        organization: OrganizationId,
        filter: ConsentFilter,
        page: PageWanted,
    ) -> StorageResult<ConsentPage> {
        self.database().number_feeds(organization).await?;
        self.search(move |connection, shared| {
            consent_search::list(connection, shared, organization, &filter, page)
        })
        .await
    }

    async fn verify(
        &self,
        organization: OrganizationId,
        question: ConsentQuestion,
        now: Timestamp,
    ) -> StorageResult<Option<ConsentAnswer>> {
        self.read(move |connection, shared| {
            consent_search::verify(connection, shared, organization, &question, now)
        })
        .await
    }

    async fn advance_due(&self, now: Timestamp, limit: u32) -> StorageResult<u32> {
        self.write(64, move |tx| advance_due(tx, now, limit)).await
    }
}

fn record_one(
    tx: &mut Tx<'_>,
    by: &Caller,
    new: &NewDecision,
    now: Timestamp,
) -> StorageResult<ConsentView> {
    let policy = judge(tx, by.organization, new, now)?;
    let recorded = write_decision(tx, by, new, policy, now)?;
    tx.audit(by, "consent.record", &recorded.view.id.id.to_string(), now)?;
    if let Some(kind) = recorded.event {
        publish_consent(tx, by.organization, kind, recorded.view.clone(), now)?;
    }
    Ok(recorded.view)
}

fn record_batch(
    tx: &mut Tx<'_>,
    by: &Caller,
    new: &[NewDecision],
    now: Timestamp,
) -> StorageResult<RecordedBatch> {
    // Everything that can be refused is, before the first write.
    let mut policies = Vec::with_capacity(new.len());
    for (place, new) in new.iter().enumerate() {
        let judged = judge(tx, by.organization, new, now);
        policies.push(judged.map_err(|error| at_place(error, place))?);
    }
    let id = tx.id::<Batch>(now);
    let mut consents = Vec::with_capacity(new.len());
    let mut created = Vec::new();
    let mut others = Vec::new();
    for (place, (new, policy)) in new.iter().zip(policies).enumerate() {
        let recorded =
            write_decision(tx, by, new, policy, now).map_err(|error| at_place(error, place))?;
        match recorded.event {
            Some(EventKind::ConsentCreated) => created.push(recorded.view.clone()),
            Some(kind) => others.push((kind, recorded.view.clone())),
            None => {}
        }
        consents.push(recorded.view);
    }
    tx.audit(by, "consent.record_batch", &id.to_string(), now)?;
    publish::publish_batch(tx, by.organization, id, &created, now)?;
    for (kind, view) in others {
        publish_consent(tx, by.organization, kind, view, now)?;
    }
    Ok(RecordedBatch { id, consents })
}

fn at_place(error: StorageError, place: usize) -> StorageError {
    match error {
        StorageError::Refused(Refusal::Field { field, problem }) => {
            StorageError::Refused(Refusal::field(format!("consents[{place}].{field}"), problem))
        }
        other => other,
    }
}

/// Refuses what cannot be recorded, reading only. Answers the policy that it names.
fn judge(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    new: &NewDecision,
    now: Timestamp,
) -> StorageResult<Option<PublicId<Policy>>> {
    new.check(now)?;
    purpose_is_allowed(tx, organization, &new.purpose)?;
    let policy = match &new.policy {
        Some(policy) => Some(open_policy(tx, organization, policy)?),
        None => None,
    };
    has_room(tx, organization, new, now)?;
    Ok(policy)
}

/// Refuses a purpose that nobody created where the organization wants that.
pub(crate) fn purpose_is_allowed(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    purpose: &str,
) -> StorageResult<()> {
    if has_strict_purposes(tx, organization)?
        && purposes::find(tx, organization, purpose)?.is_none()
    {
        let problem =
            "is no purpose of this organization, and `strict_purposes` lets no decision create one";
        return refused(Refusal::field("consent_type", problem));
    }
    Ok(())
}

/// Refuses a decision given for a time that its record has no room for. Only such decisions pay for the look. Within one
/// batch it sees the record as it was before: what earlier ones of the batch fill up is refused as they are written.
pub(crate) fn has_room(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    new: &NewDecision,
    now: Timestamp,
) -> StorageResult<()> {
    if new.validity == Validity::default() {
        return Ok(());
    }
    let Some(person) = people::find_known(tx, organization, &new.subject.reference)? else {
        return Ok(());
    };
    let Some(purpose) = purposes::find(tx, organization, &new.purpose)? else { return Ok(()) };
    let Some(row) = ledger::of_person(tx, person.id, purpose)? else { return Ok(()) };
    // So few decisions have room, however they lie.
    if (row.version as usize) < MAX_CANDIDATES {
        return Ok(());
    }
    let obtained_at = match new.obtained_at {
        Some(at) => at,
        None => not_before(tx, &row, now)?,
    };
    // Its id is not drawn yet and will be the highest.
    let decision = DecisionId::from_key(i64::MAX);
    let candidate = Candidate { decision, state: new.state, obtained_at, validity: new.validity };
    ledger::has_room(tx, &row, candidate, now)
}

/// Writes a decision under the policy that it was found to name.
fn write_decision(
    tx: &mut Tx<'_>,
    by: &Caller,
    new: &NewDecision,
    policy: Option<PublicId<Policy>>,
    now: Timestamp,
) -> StorageResult<Taken> {
    let people::Found { person, is_new } =
        people::find_or_create(tx, by.organization, &new.subject, now)?;
    let purpose = purposes::find_or_create(tx, by, &new.purpose, now)?;
    let row = if is_new { None } else { ledger::of_person(tx, person.id, purpose)? };
    let row = row.unwrap_or_else(|| {
        ConsentRow::fresh(tx.id::<Consent>(now), by.organization, person.id, purpose, now)
    });
    let obtained_at = match new.obtained_at {
        Some(at) => at,
        None => not_before(tx, &row, now)?,
    };
    let original = said::original_of(tx.connection(), &person.key, &row)?;
    let view = ConsentView {
        decision: tx.id_after::<Decision>(now, row.latest),
        obtained_at,
        ..described(&row, original, new, policy, now)
    };
    ledger::take(tx, by, &person.key, row, view, Came::Recorded, now)
}

/// A decision as it is taken into its record, recorded at that time; its id and, where none was given, when it was
/// obtained are for the caller to set.
pub(crate) fn described(
    row: &ConsentRow,
    original: Option<OriginalId>,
    new: &NewDecision,
    policy: Option<PublicId<Policy>>,
    recorded_at: Timestamp,
) -> ConsentView {
    let ip_address = new
        .ip_address
        .clone()
        .or_else(|| new.metadata.as_ref().and_then(|metadata| metadata.text_at("ip_address")));
    let shown_policy = policy.as_ref().map(ToString::to_string);
    ConsentView {
        id: PublicId { id: row.id, original },
        version: row.version + 1,
        decision: DecisionId::from_key(0),
        subject: row.subject,
        reference: new.subject.reference.clone(),
        email: new.subject.email.clone(),
        purpose: new.purpose.clone(),
        policy,
        basis: new.basis,
        state: Some(new.state),
        consent_hash: consent_hash(&HashedFields {
            reference: &new.subject.reference,
            email: new.subject.email.as_deref(),
            policy: shown_policy.as_deref(),
            granted: new.state == PermissionState::Granted,
            recorded_at,
            ip_address: ip_address.as_deref(),
        }),
        metadata: new.metadata.clone(),
        ip_address,
        obtained_at: new.obtained_at.unwrap_or(recorded_at),
        recorded_at,
        validity: new.validity,
        created_at: row.created_at,
        withdrawn_at: None,
    }
}

/// When a decision without a time of its own was taken: now, and not before the one in force or one that waits for its
/// time, which it follows, though the clock was set back since.
fn not_before(tx: &Tx<'_>, row: &ConsentRow, now: Timestamp) -> StorageResult<Timestamp> {
    let in_force = row.standing.in_force.map(|held| held.obtained_at);
    let waiting = match row.standing.next_change_at {
        Some(_) => ledger::candidates(tx, row.candidate)?,
        None => Vec::new(),
    };
    let taken = waiting.iter().map(|one| one.obtained_at).chain(in_force);
    Ok(taken.fold(now, Timestamp::max))
}

/// The policy that new decisions may name so.
fn open_policy(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    named: &Reference<Policy>,
) -> StorageResult<PublicId<Policy>> {
    let id = originals::policy_named_in(tx, organization, named)?;
    if let Some(original) = tx.caches.open_policies.get(&(organization, id)) {
        return Ok(PublicId { id, original });
    }
    let found: Option<(bool, Option<OriginalId>)> = tx
        .sql("SELECT is_active, original FROM policies WHERE policy = ? AND organization = ? AND deleted_at IS NULL")
        .maybe([id.key(), organization.key()], |row| {
            Ok((row.get("is_active")?, originals::of_row(row)?))
        })?;
    match found {
        Some((true, original)) => {
            tx.caches.open_policies.insert((organization, id), original.clone());
            Ok(PublicId { id, original })
        }
        Some((false, _)) => {
            refused(Refusal::field("policy_id", "names a policy that is not active"))
        }
        None => refused(Refusal::field("policy_id", "names no policy of this organization")),
    }
}

/// A record that is there, as a change meets it.
struct Existing {
    shown: ConsentView,
    /// What the decision shown decided, in force or not.
    decided: PermissionState,
    /// Whether it grants, or may without a further word: in time, or once a pending answer is confirmed.
    may_grant: bool,
}

/// Not found when the record does not exist or its person was erased.
fn existing(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    consent: ConsentId,
    now: Timestamp,
) -> StorageResult<Existing> {
    let keys = tx.keys(organization)?;
    let not_found = || StorageError::Refused(Refusal::NotFound("the consent"));
    let row = ledger::by_id(tx.connection(), organization, consent)?.ok_or_else(not_found)?;
    people::hold(tx, row.subject)?;
    let row = ledger::by_id(tx.connection(), organization, consent)?.ok_or_else(not_found)?;
    let shown = ledger::view(tx.connection(), &keys, &row)?.ok_or_else(not_found)?;
    let decided = ledger::decided(tx, shown.decision)?;
    let may_grant = shown.granted()
        || shown.state == Some(PermissionState::Pending)
        || (row.standing.next_change_at.is_some()
            && grants_in_time(&ledger::candidates(tx, row.candidate)?, now));
    Ok(Existing { shown, decided, may_grant })
}

/// The decision that a patch makes of the one shown. Without a new answer of the person, the answer stands as it was: as
/// old, so that it does not overtake one that waits for its time, and for the time that it was given for.
fn patched(shown: &ConsentView, decided: PermissionState, patch: &ConsentPatch) -> NewDecision {
    let (state, validity) = match patch.granted {
        Some(true) => (PermissionState::Granted, Validity::default()),
        Some(false) => (PermissionState::Denied, Validity::default()),
        None => (decided, shown.validity),
    };
    let obtained_at = patch.granted.is_none().then_some(shown.obtained_at);
    let moved = patch.metadata.is_some() || patch.ip_address.is_some();
    NewDecision {
        subject: SubjectInput {
            reference: shown.reference.clone(),
            email: patch.email.clone().unwrap_or_else(|| shown.email.clone()),
        },
        purpose: shown.purpose.clone(),
        basis: LawfulBasis::Consent,
        state,
        // Which one, `follow` finds out.
        policy: None,
        metadata: patch.metadata.clone().unwrap_or_else(|| shown.metadata.clone()),
        ip_address: if moved { patch.ip_address.clone() } else { shown.ip_address.clone() },
        obtained_at,
        validity,
    }
}

/// Records a decision on an existing record, telling what follows.
fn follow(
    tx: &mut Tx<'_>,
    by: &Caller,
    shown: &ConsentView,
    new: &NewDecision,
    policy: Option<&Option<Reference<Policy>>>,
    now: Timestamp,
) -> StorageResult<ConsentView> {
    if shown.basis != LawfulBasis::Consent {
        return refused(Refusal::Conflict("the record is not based on consent".to_owned()));
    }
    // A policy named by the decision before may have been closed since; only a newly named one is judged.
    let policy = match policy {
        None => shown.policy.clone(),
        Some(None) => None,
        Some(Some(named)) => match &shown.policy {
            Some(before) if named.names(before) => Some(before.clone()),
            Some(_) | None => Some(open_policy(tx, by.organization, named)?),
        },
    };
    text_field("consent_type", &new.purpose, 100)?;
    has_room(tx, by.organization, new, now)?;
    let taken = write_decision(tx, by, new, policy, now)?;
    let action = match taken.event {
        Some(EventKind::ConsentWithdrawn) => "consent.withdraw",
        _ => "consent.change",
    };
    tx.audit(by, action, &taken.view.id.id.to_string(), now)?;
    if let Some(kind) = taken.event {
        publish_consent(tx, by.organization, kind, taken.view.clone(), now)?;
    }
    Ok(taken.view)
}

pub(crate) fn publish_consent(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    kind: EventKind,
    view: ConsentView,
    now: Timestamp,
) -> StorageResult<()> {
    let event = Event {
        id: tx.id(now),
        organization,
        kind,
        created_at: now,
        subject: Some(view.subject),
        render_version: RENDER_VERSION,
        body: EventBody::Consent(view),
    };
    publish(tx, &Arc::new(event), now)
}

/// How long a record that cannot be read waits for the next look at it, in milliseconds.
const JUDGE_AGAIN: i64 = 3_600_000;

/// Judges a record whose time has come; `None` when its person was erased.
fn judge_again(tx: &mut Tx<'_>, row: ConsentRow, now: Timestamp) -> StorageResult<Option<Taken>> {
    let Some(keys) = unless_destroyed(tx.keys(row.organization))? else { return Ok(None) };
    let Some(key) = people::key_of(tx.connection(), &keys, row.subject)? else { return Ok(None) };
    ledger::judge_again(tx, &key, row, now).map(Some)
}

fn advance_due(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> StorageResult<u32> {
    must_do_chores(tx)?;
    let due = ledger::due_for_change(tx, now, limit)?;
    let judged = due.len() as u32;
    for row in due {
        let (consent, organization) = (row.id, row.organization);
        organizations::hold(tx, organization)?;
        people::hold(tx, row.subject)?;
        // A decision, or somebody else who looks after time, may have come first.
        let found = ledger::by_id(tx.connection(), organization, consent)?;
        let Some(row) = found.filter(|row| row.standing.next_change_at.is_some_and(|at| at <= now))
        else {
            continue;
        };
        let taken = match judge_again(tx, row, now) {
            Ok(Some(taken)) => taken,
            Ok(None) => {
                ledger::set_next_change(tx, &row, None)?;
                continue;
            }
            // One that cannot be read holds up nobody else's. Nothing of it is written yet.
            Err(StorageError::Damaged(place)) => {
                tracing::error!(%consent, place, "a permission whose time has come cannot be judged");
                ledger::set_next_change(tx, &row, Some(now.plus_millis(JUDGE_AGAIN)))?;
                continue;
            }
            Err(other) => return Err(other),
        };
        if let Some(kind) = taken.event {
            let by = Caller::new(organization, Actor::System);
            tx.audit(&by, "consent.change_by_time", &taken.view.id.id.to_string(), now)?;
            publish_consent(tx, organization, kind, taken.view, now)?;
        }
    }
    Ok(judged)
}
