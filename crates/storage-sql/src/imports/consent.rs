//! Decisions that are brought along.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use abide_core::Refusal;
use abide_core::consent::{ConsentView, PermissionState};
use abide_core::event::EventKind;
use abide_core::ids::{Consent, ConsentId, Decision, Id, Policy};
use abide_core::original::{PublicId, Reference};
use abide_storage::StorageResult;
use abide_storage::imports::{Brought, ImportedConsent, OriginalOf, Outcome};

use super::{Run, hash_to_keep, is_foreign};
use crate::after::refused;
use crate::consents::{described, purpose_is_allowed};
use crate::ledger::{self, Came, ConsentRow};
use crate::said::Likeness;
use crate::tx::{Person, Tx};
use crate::{originals, people, purposes, said, subjects};

/// A record that is here, and its person.
struct Known {
    row: ConsentRow,
    person: Arc<Person>,
}

impl Run<'_> {
    pub(super) fn consent(
        &mut self,
        tx: &mut Tx<'_>,
        line: &ImportedConsent,
    ) -> StorageResult<Brought> {
        let organization = self.by.organization;
        self.check(line)?;
        let erased_at = subjects::erased_at(tx, organization, &line.new.subject.reference)?;
        if erased_at.is_some_and(|at| line.recorded_at <= at) {
            return Ok(Brought { outcome: Outcome::LeftOut, id: None, hash: None });
        }
        purpose_is_allowed(tx, organization, &line.new.purpose)?;
        let policy = match &line.new.policy {
            Some(named) => Some(self.policy_here(tx, named)?),
            None => None,
        };
        let known = self.known_record(tx, line)?;
        // A new record has its ids when it is written.
        let fresh = |id, subject, purpose| ConsentRow {
            has_original: line.original.is_some(),
            ..ConsentRow::fresh(id, organization, subject, purpose, line.recorded_at)
        };
        let row = match &known {
            Some(known) => known.row,
            None => fresh(Id::from_key(0), Id::from_key(0), Id::from_key(0)),
        };
        let said = described(&row, line.original.clone(), &line.new, policy, line.recorded_at);
        let (computed, came) = (said.consent_hash.clone(), line.consent_hash.as_deref());
        let (consent_hash, hash) = hash_to_keep("consent_hash", came, computed)?;
        let said = ConsentView { consent_hash, ..said };
        if let Some(known) = &known
            && self.is_here(tx, known, line, &said)?
        {
            let id = known.row.id.to_string();
            return Ok(Brought { outcome: Outcome::Unchanged, id: Some(id), hash: Some(hash) });
        }
        let person = people::find_or_create(tx, organization, &line.new.subject, self.now)?.person;
        let purpose = purposes::find_or_create(tx, self.by, &line.new.purpose, self.now)?;
        let (row, outcome) = match known {
            Some(known) => (known.row, Outcome::Appended),
            None => {
                let id = tx.id::<Consent>(self.now);
                if let Some(original) = &line.original {
                    let (keys, of) = (tx.keys(organization)?, OriginalOf::Consent);
                    originals::keep(tx, &keys, organization, of, original, id.key())?;
                }
                (fresh(id, person.id, purpose), Outcome::Created)
            }
        };
        self.take(tx, &person, row, said, line)?;
        Ok(Brought { outcome, id: Some(row.id.to_string()), hash: Some(hash) })
    }

    /// Refuses what no record can say.
    fn check(&self, line: &ImportedConsent) -> StorageResult<()> {
        is_foreign::<Consent>(line.original.as_ref())?;
        line.new.check(self.now)?;
        self.not_in_the_future("recorded_at", Some(line.recorded_at))?;
        self.not_in_the_future("withdrawn_at", line.withdrawn_at)?;
        if line.withdrawn_at.is_some() && line.new.state == PermissionState::Granted {
            let problem = "stands only with a decision that does not grant: a withdrawal is a line of its own";
            return refused(Refusal::field("withdrawn_at", problem));
        }
        Ok(())
    }

    /// The policy that the line names. It may be closed or deleted by now.
    fn policy_here(
        &self,
        tx: &mut Tx<'_>,
        named: &Reference<Policy>,
    ) -> StorageResult<PublicId<Policy>> {
        let organization = self.by.organization;
        let id = originals::policy_named_in(tx, organization, named)?;
        let original = tx
            .sql("SELECT original FROM policies WHERE policy = ? AND organization = ?")
            .maybe([id.key(), organization.key()], originals::of_row)?;
        match original {
            Some(original) => Ok(PublicId { id, original }),
            None => refused(Refusal::field("policy_id", "names no policy of this organization")),
        }
    }

    /// The record that the line belongs to, where it is here. Ids and people must agree about which that is.
    fn known_record(
        &self,
        tx: &mut Tx<'_>,
        line: &ImportedConsent,
    ) -> StorageResult<Option<Known>> {
        let organization = self.by.organization;
        let (keys, of) = (tx.keys(organization)?, OriginalOf::Consent);
        let by_id = match &line.original {
            Some(original) => originals::find(tx.connection(), &keys, organization, of, original)?,
            None => None,
        };
        let by_id: Option<ConsentId> = by_id.map(Id::from_key);
        let person = people::find_known(tx, organization, &line.new.subject.reference)?;
        let purpose = purposes::find(tx, organization, &line.new.purpose)?;
        let known = match (&person, purpose) {
            (Some(person), Some(purpose)) => ledger::of_person(tx, person.id, purpose)?
                .map(|row| Known { row, person: Arc::clone(person) }),
            _ => None,
        };
        match (known, by_id) {
            (None, None) => Ok(None),
            (Some(known), Some(id)) if known.row.id == id => Ok(Some(known)),
            (Some(known), None) if line.original.is_none() && !known.row.has_original => {
                Ok(Some(known))
            }
            (Some(_), None) => {
                let problem =
                    "is not the one under which this person's consent of this type is here already";
                refused(Refusal::field("id", problem))
            }
            (_, Some(id)) => {
                let there = ledger::by_id(tx.connection(), organization, id)?;
                let subject = there.map(|row| row.subject);
                let is_theirs = subject.is_some() && subject == person.map(|person| person.id);
                let field = if is_theirs { "consent_type" } else { "subject_id" };
                let problem = "is not that of the consent which is here under this id";
                refused(Refusal::field(field, problem))
            }
        }
    }

    /// Whether the decision is among those of its record. One that cannot follow them is refused.
    fn is_here(
        &mut self,
        tx: &Tx<'_>,
        known: &Known,
        line: &ImportedConsent,
        said: &ConsentView,
    ) -> StorageResult<bool> {
        let recorded = match self.recorded.entry(known.row.id) {
            Entry::Occupied(met) => met.into_mut(),
            Entry::Vacant(new) => new.insert(ledger::recorded_times(tx.connection(), &known.row)?),
        };
        let (mut is_taken, mut differs) = (false, None);
        for (at, decision) in recorded.iter() {
            if *at == line.recorded_at {
                is_taken = true;
                match said::likeness(tx.connection(), &known.person.key, *decision, said)? {
                    Likeness::Same => return Ok(true),
                    Likeness::Differs(field) => differs = Some(field),
                    Likeness::Another => {}
                }
            }
        }
        if let Some(field) = differs {
            let problem =
                "is not that of this consent's decision which was recorded at `recorded_at`";
            return refused(Refusal::field(field, problem));
        }
        if is_taken {
            let (field, problem) = match line.consent_hash {
                Some(_) => (
                    "consent_hash",
                    "is not that of this consent's decision which was recorded at `recorded_at`",
                ),
                None => (
                    "recorded_at",
                    "is that of another decision of this consent, which says something else",
                ),
            };
            return refused(Refusal::field(field, problem));
        }
        if recorded.iter().any(|(at, _)| *at > line.recorded_at) {
            let problem = "lies before the last decision of this consent: lines of one consent stand in order of time";
            return refused(Refusal::field("recorded_at", problem));
        }
        Ok(false)
    }

    /// Takes the decision into its record.
    fn take(
        &mut self,
        tx: &mut Tx<'_>,
        person: &Person,
        row: ConsentRow,
        said: ConsentView,
        line: &ImportedConsent,
    ) -> StorageResult<()> {
        let decision = tx.id_after::<Decision>(self.now, row.latest);
        let view = ConsentView {
            id: PublicId { id: row.id, original: line.original.clone() },
            subject: person.id,
            decision,
            ..said
        };
        let came = Came::Brought(ledger::Brought {
            at: self.now,
            telling: self.telling,
            withdrawn_at: line.withdrawn_at,
        });
        let taken = ledger::take(tx, self.by, &person.key, row, view, came, self.now)?;
        self.recorded.entry(row.id).or_default().push((line.recorded_at, decision));
        match taken.event {
            Some(EventKind::ConsentCreated) => self.created.push(taken.view),
            Some(kind) => self.changed.push((kind, taken.view)),
            None => {}
        }
        Ok(())
    }
}
