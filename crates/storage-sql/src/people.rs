//! Finding people by blind index, and creating them with their key.

use std::sync::Arc;

use crate::params;
use crate::sql::Sql;
use abide_core::Timestamp;
use abide_core::consent::SubjectInput;
use abide_core::ids::{EventId, OrganizationId, Subject, SubjectId};
use abide_storage::StorageResult;
use abide_storage::sealing::{OrganizationKeys, Place, SubjectKey, normalise_email};
use zeroize::Zeroizing;

use crate::rows::{damaged, id};
use crate::tx::{Person, Tx};

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
    let found: Option<(i64, Option<Vec<u8>>)> = tx
        .sql(
            "SELECT subject, wrapped_key FROM identifiers JOIN subjects USING (subject) \
             WHERE identifiers.organization = ? AND blind = ? FOR UPDATE OF subjects",
        )
        .maybe(params![organization.key(), blind], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((subject, wrapped)) = found else { return Ok(None) };
    let wrapped = wrapped.ok_or_else(|| damaged("subjects.wrapped_key"))?;
    let key =
        SubjectKey::unwrap(keys, subject, &wrapped).map_err(|_| damaged("subjects.wrapped_key"))?;
    let person = Arc::new(Person {
        id: SubjectId::from_key(subject),
        key,
        email: parking_lot::Mutex::new(None),
    });
    tx.caches.people.insert((organization, blind), Arc::clone(&person));
    Ok(Some(person))
}

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
        .execute(params![id.key(), organization.key(), wrapped])?;
    let person = Arc::new(Person { id, key, email: parking_lot::Mutex::new(None) });
    insert_identifier(tx, organization, &person, REFERENCE, blind, reference)?;
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
    let is_known = !is_new
        && tx
            .sql("SELECT 1 FROM identifiers WHERE subject = ? AND blind = ?")
            .exists(params![person.id.key(), blind])?;
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
    .execute(params![organization.key(), blind, person.id.key(), kind, sealed])?;
    Ok(())
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
