//! What a decision says: sealed under its person's key as it was recorded, and read out of that again.

use std::borrow::Cow;

use crate::sql::Sql;
use abide_core::Timestamp;
use abide_core::consent::hash::{HashedFields, commitment, consent_hash, spelled_usually};
use abide_core::consent::{ConsentView, LawfulBasis, PermissionState, Validity};
use abide_core::ids::{ConsentId, DecisionId, PolicyId};
use abide_core::json::JsonObject;
use abide_core::original::{OriginalId, PublicId};
use abide_storage::StorageResult;
use abide_storage::exports::SaidWithDecision;
use abide_storage::feeds::ToldDecision;
use abide_storage::sealing::{Place, SealingKey};
use serde::{Deserialize, Serialize};

use crate::ledger::ConsentRow;
use crate::rows::{damaged, maybe_id};
use crate::tx::Tx;

/// A decision's canonical bytes: what is sealed, and what the commitment is made over. Field order is part of it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Canonical<'a> {
    pub(crate) decision: DecisionId,
    pub(crate) consent: ConsentId,
    #[serde(borrow)]
    pub(crate) reference: Cow<'a, str>,
    pub(crate) email: Option<Cow<'a, str>>,
    pub(crate) purpose: Cow<'a, str>,
    pub(crate) policy: Option<PolicyId>,
    pub(crate) basis: LawfulBasis,
    pub(crate) state: PermissionState,
    pub(crate) obtained_at: Timestamp,
    pub(crate) recorded_at: Timestamp,
    pub(crate) validity: Validity,
    pub(crate) recorded_by: Cow<'a, str>,
    pub(crate) consent_hash: Cow<'a, str>,
    pub(crate) metadata: Option<JsonObject>,
    pub(crate) ip_address: Option<Cow<'a, str>>,
    /// What the record was called where it was brought from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) original: Option<OriginalId>,
    /// What the policy was called there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy_original: Option<OriginalId>,
    /// When it was brought along; `recorded_at` is when it was recorded elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) imported_at: Option<Timestamp>,
}

const SALT: usize = 16;

impl Canonical<'_> {
    /// The sealed bytes, and the commitment to them.
    pub(crate) fn seal(
        &self,
        tx: &mut Tx<'_>,
        key: &SealingKey,
    ) -> StorageResult<(Vec<u8>, [u8; 32])> {
        let salt: [u8; SALT] = tx.draw();
        let mut salted = Vec::with_capacity(768);
        salted.extend_from_slice(&salt);
        serde_json::to_writer(&mut salted, self).map_err(|_| damaged("decisions.sealed"))?;
        let commitment = commitment(&salt, &salted[SALT..]);
        Ok((key.seal(&decision_place(self.decision), &salted), commitment))
    }
}

/// A decision's sealed bytes, opened.
pub(crate) fn opened(
    key: &SealingKey,
    decision: DecisionId,
    sealed: &[u8],
) -> StorageResult<Vec<u8>> {
    key.open(&decision_place(decision), sealed).map_err(|_| damaged("decisions.sealed"))
}

/// How a decision, as it was recorded, names its person, its record and its policy.
pub(crate) struct Names {
    reference: String,
    original: Option<OriginalId>,
    policy_original: Option<OriginalId>,
}

impl Names {
    fn of(canonical: &Canonical<'_>) -> Self {
        Self {
            reference: canonical.reference.clone().into_owned(),
            original: canonical.original.clone(),
            policy_original: canonical.policy_original.clone(),
        }
    }

    /// Gives them to the decision that is told.
    pub(crate) fn give(self, told: &mut ToldDecision) {
        told.reference = Some(self.reference);
        told.original = self.original;
        told.policy_original = self.policy_original;
    }
}

/// The names in a decision and what was said with it; with its person's key in hand.
pub(crate) fn said_in(
    key: &SealingKey,
    decision: DecisionId,
    sealed: &[u8],
) -> StorageResult<(Names, SaidWithDecision)> {
    let opened = opened(key, decision, sealed)?;
    let canonical = canonical(&opened)?;
    let names = Names::of(&canonical);
    let said = SaidWithDecision {
        email: canonical.email.map(Cow::into_owned),
        metadata: canonical.metadata,
        ip_address: canonical.ip_address.map(Cow::into_owned),
        consent_hash: canonical.consent_hash.into_owned(),
    };
    Ok((names, said))
}

/// The names in a decision, with its person's key in hand.
pub(crate) fn names_in(
    key: &SealingKey,
    decision: DecisionId,
    sealed: &[u8],
) -> StorageResult<Names> {
    let opened = opened(key, decision, sealed)?;
    Ok(Names::of(&canonical(&opened)?))
}

/// What opened bytes say.
pub(crate) fn canonical(opened: &[u8]) -> StorageResult<Canonical<'_>> {
    opened
        .get(SALT..)
        .and_then(|text| serde_json::from_slice(text).ok())
        .ok_or_else(|| damaged("decisions.sealed"))
}

fn decision_place(decision: DecisionId) -> Place {
    Place { table: "decisions", column: "sealed", row: decision.key() }
}

/// What a record that was brought along was called, with its person's key in hand.
pub(crate) fn original_of(
    connection: &dyn Sql,
    key: &SealingKey,
    row: &ConsentRow,
) -> StorageResult<Option<OriginalId>> {
    let Some(latest) = row.latest.filter(|_| row.has_original) else { return Ok(None) };
    let sealed: Vec<u8> = connection
        .sql("SELECT sealed FROM decisions WHERE decision = ?")
        .one([latest.key()], |row| row.get(0))?;
    let opened = opened(key, latest, &sealed)?;
    Ok(canonical(&opened)?.original)
}

/// Whether a decision says what `other` does.
pub(crate) enum Likeness {
    /// It does, in every part.
    Same,
    /// It has the same hash and says something else in that field.
    Differs(&'static str),
    /// It has another hash.
    Another,
}

/// Holds a decision against what is said elsewhere. Equal hashes are not enough: not everything goes into one, and one that
/// was brought along may be of anything.
pub(crate) fn likeness(
    connection: &dyn Sql,
    key: &SealingKey,
    decision: DecisionId,
    other: &ConsentView,
) -> StorageResult<Likeness> {
    let sealed: Vec<u8> = connection
        .sql("SELECT sealed FROM decisions WHERE decision = ?")
        .one([decision.key()], |row| row.get(0))?;
    let opened = opened(key, decision, &sealed)?;
    let said = canonical(&opened)?;
    if said.consent_hash != other.consent_hash {
        return Ok(Likeness::Another);
    }
    let parts = [
        (said.basis == other.basis, "lawful_basis"),
        (Some(said.state) == other.state, "granted"),
        (said.email.as_deref() == other.email.as_deref(), "subject_email"),
        (said.policy == other.policy.as_ref().map(|policy| policy.id), "policy_id"),
        (said.ip_address.as_deref() == other.ip_address.as_deref(), "ip_address"),
        (is_same_json(said.metadata.as_ref(), other.metadata.as_ref()), "metadata"),
        (said.obtained_at == other.obtained_at, "obtained_at"),
        (said.validity.from == other.validity.from, "valid_from"),
        (said.validity.until == other.validity.until, "valid_until"),
    ];
    let differing = parts.into_iter().find(|(is_same, _)| !is_same);
    Ok(differing.map_or(Likeness::Same, |(_, field)| Likeness::Differs(field)))
}

/// Whether two objects hold the same, however they are written.
fn is_same_json(one: Option<&JsonObject>, other: Option<&JsonObject>) -> bool {
    let value =
        |object: &JsonObject| serde_json::from_str::<serde_json::Value>(object.as_str()).ok();
    one == other || one.zip(other).is_some_and(|(one, other)| value(one) == value(other))
}

/// A decision's P35 hash, computed again from what it says, and the decision before it. What was brought along may have
/// been hashed in another way: there the hash that came with it counts.
pub(crate) fn hash_again(
    connection: &dyn Sql,
    key: &SealingKey,
    decision: DecisionId,
) -> StorageResult<(String, Option<DecisionId>)> {
    let (sealed, previous): (Vec<u8>, _) = connection
        .sql("SELECT sealed, previous FROM decisions WHERE decision = ?")
        .one([decision.key()], |row| Ok((row.get(0)?, maybe_id(row, "previous")?)))?;
    let opened = opened(key, decision, &sealed)?;
    let said = canonical(&opened)?;
    if said.imported_at.is_some() {
        return Ok((spelled_usually(&said.consent_hash).into_owned(), previous));
    }
    let policy = said.policy.map(|id| PublicId { id, original: said.policy_original });
    let policy = policy.map(|policy| policy.to_string());
    let hash = consent_hash(&HashedFields {
        reference: &said.reference,
        email: said.email.as_deref(),
        policy: policy.as_deref(),
        granted: said.state == PermissionState::Granted,
        recorded_at: said.recorded_at,
        ip_address: said.ip_address.as_deref(),
    });
    Ok((hash, previous))
}
