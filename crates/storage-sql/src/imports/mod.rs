//! Bring-along: lines taken as one change, each judged before it is written, all undone where one of them does not fit.

mod consent;
mod endpoint;
mod policy;

use std::collections::HashMap;

use abide_core::access::Caller;
use abide_core::consent::ConsentView;
use abide_core::consent::hash::spelled_usually;
use abide_core::event::EventKind;
use abide_core::ids::{Batch, ConsentId, DecisionId, Id, Kind, OrganizationId};
use abide_core::original::OriginalId;
use abide_core::policy::text_field;
use abide_core::{Refusal, Timestamp};
use abide_storage::imports::{
    Brought, Earnest, HashCheck, IMPORT_LIMIT, Imported, Misfit, OriginalOf, Outcome, Telling,
};
use abide_storage::{Imports, StorageError, StorageResult};
use async_trait::async_trait;

use crate::after::refused;
use crate::consents::publish_consent;
use crate::database::Database;
use crate::keys::organization_keys;
use crate::originals;
use crate::publish::publish_batch;
use crate::store::SqlStore;
use crate::tx::Tx;

#[async_trait]
impl<D: Database> Imports for SqlStore<D> {
    async fn import(
        &self,
        by: &Caller,
        lines: Vec<Imported>,
        telling: Telling,
        earnest: Earnest,
        now: Timestamp,
    ) -> StorageResult<Result<Vec<Brought>, Vec<Misfit>>> {
        if lines.is_empty() || lines.len() > IMPORT_LIMIT {
            return refused(Refusal::field("lines", "must be 1 to 1,000"));
        }
        let bytes = lines.iter().map(size_of).sum();
        let stands = move |done: &Result<_, _>| done.is_ok() && earnest == Earnest::Real;
        self.act_if(by, bytes, now, stands, move |tx, by| {
            tx.undoable(|tx| Run::new(by, telling, now).all(tx, &lines), stands)
        })
        .await
    }

    async fn own_key(
        &self,
        organization: OrganizationId,
        of: OriginalOf,
        original: OriginalId,
    ) -> StorageResult<Option<i64>> {
        self.read(move |connection, shared| {
            let keys = organization_keys(connection, shared, organization)?;
            originals::find(connection, &keys, organization, of, &original)
        })
        .await
    }
}

/// About as many bytes as a line holds while it waits.
fn size_of(line: &Imported) -> usize {
    1_024
        + match line {
            Imported::Endpoint(_) => 0,
            Imported::Policy(policy) => policy.new.content.len(),
            Imported::Consent(consent) => {
                consent.new.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len())
            }
        }
}

/// One call, as far as it has come.
struct Run<'a> {
    by: &'a Caller,
    telling: Telling,
    now: Timestamp,
    /// Records that were created and are not yet told.
    created: Vec<ConsentView>,
    /// Other changes that are not yet told.
    changed: Vec<(EventKind, ConsentView)>,
    /// When decisions of the records met so far were recorded, in no order.
    recorded: HashMap<ConsentId, Vec<(Timestamp, DecisionId)>>,
}

impl<'a> Run<'a> {
    fn new(by: &'a Caller, telling: Telling, now: Timestamp) -> Self {
        Self {
            by,
            telling,
            now,
            created: Vec::new(),
            changed: Vec::new(),
            recorded: HashMap::new(),
        }
    }

    fn all(
        mut self,
        tx: &mut Tx<'_>,
        lines: &[Imported],
    ) -> StorageResult<Result<Vec<Brought>, Vec<Misfit>>> {
        let (mut brought, mut misfits) = (Vec::with_capacity(lines.len()), Vec::new());
        for (place, line) in lines.iter().enumerate() {
            let done = match line {
                Imported::Endpoint(line) => self.endpoint(tx, line),
                Imported::Policy(line) => self.policy(tx, line),
                Imported::Consent(line) => self.consent(tx, line),
            };
            match done {
                Ok(one) => brought.push(one),
                Err(StorageError::Refused(refusal)) => {
                    misfits.push(Misfit { line: place, refusal });
                }
                Err(other) => return Err(other),
            }
        }
        if !misfits.is_empty() {
            return Ok(Err(misfits));
        }
        self.tell(tx)?;
        if let Some(object) = counted(lines, &brought) {
            tx.audit(self.by, "import.run", &object, self.now)?;
        }
        Ok(Ok(brought))
    }

    /// Tells what was not told yet: what was created as a batch is, each other change by itself.
    fn tell(&mut self, tx: &mut Tx<'_>) -> StorageResult<()> {
        let organization = self.by.organization;
        if !self.created.is_empty() {
            let batch = tx.id::<Batch>(self.now);
            publish_batch(tx, organization, batch, &self.created, self.now)?;
            self.created.clear();
        }
        for (kind, view) in self.changed.drain(..) {
            publish_consent(tx, organization, kind, view, self.now)?;
        }
        Ok(())
    }

    /// Refuses a time that has not come.
    fn not_in_the_future(&self, field: &str, at: Option<Timestamp>) -> StorageResult<()> {
        if at.is_some_and(|at| at > self.now) {
            return refused(Refusal::field(field, "must not lie in the future"));
        }
        Ok(())
    }
}

/// How many of each were taken, for the audit log; `None` where all were here.
fn counted(lines: &[Imported], brought: &[Brought]) -> Option<String> {
    let (mut endpoints, mut policies, mut decisions) = (0, 0, 0);
    for (line, one) in lines.iter().zip(brought) {
        let count = match line {
            Imported::Endpoint(_) => &mut endpoints,
            Imported::Policy(_) => &mut policies,
            Imported::Consent(_) => &mut decisions,
        };
        *count += u32::from(matches!(one.outcome, Outcome::Created | Outcome::Appended));
    }
    (endpoints + policies + decisions > 0)
        .then(|| format!("webhooks={endpoints},policies={policies},decisions={decisions}"))
}

/// Refuses an original id that could be one of Abide's.
fn is_foreign<K: Kind>(original: Option<&OriginalId>) -> StorageResult<()> {
    match original.map(|original| Id::<K>::parse(original.as_str())) {
        Some(Ok(_)) => {
            let problem =
                "is an id of Abide's own form: it could be the id of something here, now or later";
            refused(Refusal::field("id", problem))
        }
        Some(Err(_)) | None => Ok(()),
    }
}

/// Holds a hash that came along against the one computed here; answers the one to keep.
fn hash_to_keep(
    field: &str,
    came: Option<&str>,
    computed: String,
) -> StorageResult<(String, HashCheck)> {
    match came {
        None => Ok((computed, HashCheck::Computed)),
        Some(came) if spelled_usually(came) == computed => {
            Ok((came.to_owned(), HashCheck::Matches))
        }
        Some(came) => {
            text_field(field, came, HASH_LIMIT)?;
            Ok((came.to_owned(), HashCheck::Differs))
        }
    }
}

/// Longest hash that is taken as it comes, in characters.
const HASH_LIMIT: usize = 200;
