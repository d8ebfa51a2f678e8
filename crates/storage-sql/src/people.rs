//! Finding people by blind index, and creating them with their key.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::params;
use crate::sql::{Bind, Row, Sql};
use abide_core::Timestamp;
use abide_core::consent::{NewDecision, SubjectInput};
use abide_core::endpoint::Source;
use abide_core::ids::{EventId, OrganizationId, Subject, SubjectId};
use abide_storage::StorageResult;
use abide_storage::sealing::{OrganizationKeys, Place, SubjectKey, normalise_email};
use zeroize::Zeroizing;

use crate::database::Ahead;
use crate::endpoints::endpoint_set;
use crate::keys::unless_destroyed;
use crate::rows::{damaged, id};
use crate::tx::{Person, Tx};
use crate::{lanes, ledger, purposes};

/// Kind of identifier: the organization's own reference.
pub(crate) const REFERENCE: &str = "reference";
const EMAIL: &str = "email";

/// A person, and whether they were met just now for the first time: nothing else is known of them yet.
pub(crate) struct Found {
    pub(crate) person: Arc<Person>,
    pub(crate) is_new: bool,
}

/// The person with that reference, created where new; an e-mail address that is new for the person is kept.
pub(crate) fn find_or_create(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    input: &SubjectInput,
    now: Timestamp,
) -> StorageResult<Found> {
    let keys = tx.keys(organization)?;
    let blind = keys.index_key.blind(REFERENCE, &input.reference).0;
    let found = match find(tx, organization, &keys, blind)? {
        Some(person) => Found { person, is_new: false },
        None => {
            let person = create(tx, organization, &keys, blind, &input.reference, now)?;
            Found { person, is_new: true }
        }
    };
    if let Some(email) = &input.email {
        keep_email(tx, organization, &keys, &found, email)?;
    }
    Ok(found)
}

/// The person with that reference, where they were met before.
pub(crate) fn find_known(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    reference: &str,
) -> StorageResult<Option<Arc<Person>>> {
    let keys = tx.keys(organization)?;
    let blind = keys.index_key.blind(REFERENCE, reference).0;
    find(tx, organization, &keys, blind)
}

fn find(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    keys: &OrganizationKeys,
    blind: [u8; 16],
) -> StorageResult<Option<Arc<Person>>> {
    if let Some(person) = tx.caches.people.get(&(organization, blind)) {
        return Ok(Some(person));
    }
    if tx.caches.absent.people.contains(&(organization, blind)) {
        return Ok(None);
    }
    let found = tx.sql(FIND).maybe(params![organization.key(), blind], FoundRow::read)?;
    found.map(|row| row.open(tx, keys)).transpose()
}

/// Who has that identifier, kept for this transaction alone until it ends; of several whoever was met first comes first, so
/// that two transactions wait for each other in one order.
const FIND: &str = "SELECT subjects.subject, wrapped_key, identifiers.organization, blind \
     FROM identifiers JOIN subjects ON subjects.subject = identifiers.subject \
     WHERE identifiers.organization = ? AND blind = ? ORDER BY subjects.subject FOR UPDATE OF subjects";

/// Somebody's row, by one of their identifiers.
struct FoundRow {
    subject: SubjectId,
    wrapped: Option<Vec<u8>>,
    organization: OrganizationId,
    blind: [u8; 16],
}

impl FoundRow {
    fn read(row: &dyn Row) -> StorageResult<Self> {
        Ok(Self {
            subject: id(row, 0)?,
            wrapped: row.get(1)?,
            organization: id(row, 2)?,
            blind: row.get(3)?,
        })
    }

    fn open(self, tx: &mut Tx<'_>, keys: &OrganizationKeys) -> StorageResult<Arc<Person>> {
        let Self { subject, wrapped, organization, blind } = self;
        let wrapped = wrapped.ok_or_else(|| damaged("subjects.wrapped_key"))?;
        let key = SubjectKey::unwrap(keys, subject.key(), &wrapped)
            .map_err(|_| damaged("subjects.wrapped_key"))?;
        let person = Arc::new(Person { id: subject, key, email: parking_lot::Mutex::new(None) });
        tx.caches.people.insert((organization, blind), Arc::clone(&person));
        Ok(person)
    }
}

/// Reads at once whom many decisions are about, with the records that they will be taken into. What it does not find, is
/// not there: all who were found are kept for this transaction.
pub fn look_ahead(tx: &mut Tx<'_>, calls: &[Ahead]) -> StorageResult<()> {
    let mut wanted: HashMap<(OrganizationId, [u8; 16]), Vec<&NewDecision>> = HashMap::new();
    for Ahead { organization, decisions } in calls {
        // One whose keys are destroyed is told so by the call itself.
        let Some(keys) = unless_destroyed(tx.keys(*organization))? else { continue };
        // One that cannot stand in the database is refused by the call itself.
        for new in decisions.iter().filter(|new| !new.purpose.contains('\0')) {
            let blind = keys.index_key.blind(REFERENCE, &new.subject.reference).0;
            wanted.entry((*organization, blind)).or_default().push(new);
        }
    }
    let names: Vec<_> = wanted.keys().map(|(of, blind)| (of.key(), *blind)).collect();
    let sets: Vec<[&dyn Bind; 2]> = names.iter().map(|(of, blind)| [of as _, blind as _]).collect();
    let mut found = Vec::new();
    tx.sql(FIND).look_at_all(&sets, |row| {
        found.push(FoundRow::read(row)?);
        Ok(())
    })?;
    tx.caches.absent.people.extend(wanted.keys());
    let mut in_lanes = Vec::new();
    let (mut records, mut emails) = (HashSet::new(), Vec::new());
    for row in found {
        let name = (row.organization, row.blind);
        let keys = tx.keys(row.organization)?;
        // One that cannot be read is told so by the call itself.
        tx.caches.absent.people.remove(&name);
        let Ok(person) = row.open(tx, &keys) else { continue };
        if endpoint_set(tx, name.0)?.endpoints.iter().any(|one| one.rules.source == Source::Lane) {
            in_lanes.push(person.id);
        }
        for new in wanted.get(&name).into_iter().flatten() {
            if let Some(purpose) = purposes::find(tx, name.0, &new.purpose)? {
                records.insert((person.id, purpose));
            }
            if let Some(email) = &new.subject.email {
                let blind = keys.index_key.blind(EMAIL, &normalise_email(email)).0;
                emails.push((person.id.key(), blind, Arc::clone(&person)));
            }
        }
    }
    if !in_lanes.is_empty() {
        lanes::hold_of_people(tx, &in_lanes)?;
    }
    know_emails(tx, &emails)?;
    ledger::look_ahead(tx, &records)
}

/// Looks which of these addresses are known of these people.
fn know_emails(tx: &Tx<'_>, emails: &[(i64, [u8; 16], Arc<Person>)]) -> StorageResult<()> {
    let sets: Vec<[&dyn Bind; 2]> =
        emails.iter().map(|(subject, blind, _)| [subject as _, blind as _]).collect();
    let people: HashMap<i64, &Arc<Person>> =
        emails.iter().map(|(subject, _, person)| (*subject, person)).collect();
    tx.sql(KNOWS).look_at_all(&sets, |row| {
        if let Some(person) = people.get(&row.get(0)?) {
            *person.email.lock() = Some(row.get(1)?);
        }
        Ok(())
    })
}

/// Whether an identifier is known of somebody.
const KNOWS: &str = "SELECT subject, blind FROM identifiers WHERE subject = ? AND blind = ?";

fn create(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    keys: &OrganizationKeys,
    blind: [u8; 16],
    reference: &str,
    now: Timestamp,
) -> StorageResult<Arc<Person>> {
    let id = tx.id::<Subject>(now);
    let chance = Arc::clone(&tx.shared.chance);
    let (key, wrapped) =
        SubjectKey::generate(keys, id.key(), &mut |bytes: &mut [u8]| chance.fill(bytes));
    tx.sql("INSERT INTO subjects (subject, organization, wrapped_key) VALUES (?, ?, ?)")
        .later(id.key(), params![id.key(), organization.key(), wrapped])?;
    let person = Arc::new(Person { id, key, email: parking_lot::Mutex::new(None) });
    insert_identifier(tx, organization, &person, REFERENCE, blind, reference)?;
    tx.caches.absent.people.remove(&(organization, blind));
    tx.caches.people.insert((organization, blind), Arc::clone(&person));
    Ok(person)
}

fn keep_email(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    keys: &OrganizationKeys,
    found: &Found,
    email: &str,
) -> StorageResult<()> {
    let Found { person, is_new } = found;
    let email = normalise_email(email);
    let blind = keys.index_key.blind(EMAIL, &email).0;
    if *person.email.lock() == Some(blind) {
        return Ok(());
    }
    let is_known = !is_new && tx.sql(KNOWS).exists(params![person.id.key(), blind])?;
    if !is_known {
        insert_identifier(tx, organization, person, EMAIL, blind, &email)?;
    }
    *person.email.lock() = Some(blind);
    Ok(())
}

fn insert_identifier(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    person: &Person,
    kind: &str,
    blind: [u8; 16],
    value: &str,
) -> StorageResult<()> {
    let place = Place { table: "identifiers", column: "sealed", row: person.id.key() };
    let sealed = person.key.seal(&place, value.as_bytes());
    tx.sql(
        "INSERT INTO identifiers (organization, blind, subject, kind, sealed) VALUES (?, ?, ?, ?, ?)",
    )
    .later(person.id.key(), params![organization.key(), blind, person.id.key(), kind, sealed])
}

/// What an identifier of a person says.
pub(crate) fn open_identifier(
    key: &SubjectKey,
    subject: SubjectId,
    sealed: &[u8],
) -> StorageResult<Zeroizing<String>> {
    let place = Place { table: "identifiers", column: "sealed", row: subject.key() };
    let text = key.open(&place, sealed).map_err(|_| damaged("identifiers.sealed"))?;
    let text = std::str::from_utf8(&text).map_err(|_| damaged("identifiers.sealed"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The person with that reference, for readers.
pub(crate) fn known_as(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    reference: &str,
) -> StorageResult<Option<SubjectId>> {
    let blind = keys.index_key.blind(REFERENCE, reference).0;
    connection
        .sql("SELECT subject FROM identifiers WHERE organization = ? AND blind = ?")
        .maybe(params![organization.key(), blind], |row| id(row, "subject"))
}

/// A person's key out of the row; `None` when the person was erased.
pub(crate) fn key_of(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    subject: SubjectId,
) -> StorageResult<Option<SubjectKey>> {
    let wrapped: Option<Vec<u8>> = connection
        .sql("SELECT wrapped_key FROM subjects WHERE subject = ?")
        .maybe([subject.key()], |row| row.get(0))?
        .flatten();
    wrapped
        .map(|wrapped| {
            SubjectKey::unwrap(keys, subject.key(), &wrapped)
                .map_err(|_| damaged("subjects.wrapped_key"))
        })
        .transpose()
}

/// Whether everyone whom an event is about was erased.
pub(crate) fn all_erased(
    connection: &dyn Sql,
    subject: Option<SubjectId>,
    event: EventId,
) -> StorageResult<bool> {
    connection
        .sql(
            "SELECT coalesce( \
             (SELECT CASE WHEN wrapped_key IS NULL THEN 1 ELSE 0 END FROM subjects WHERE subject = ?1), \
             (SELECT min(CASE WHEN subjects.wrapped_key IS NULL THEN 1 ELSE 0 END) FROM event_parts \
             JOIN subjects USING (subject) WHERE event = ?2), 0)",
        ).one(params![subject.map(abide_core::ids::Id::key), event.key()], |row| row.get(0))
}

/// Keeps a person, and all that is recorded of them, for this transaction alone until it ends.
pub(crate) fn hold(tx: &Tx<'_>, subject: SubjectId) -> StorageResult<()> {
    tx.sql("SELECT 1 FROM subjects WHERE subject = ? FOR UPDATE").exists([subject.key()])?;
    Ok(())
}
