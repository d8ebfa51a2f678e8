//! Policy versions that are brought along.

use abide_core::Refusal;
use abide_core::event::EventKind;
use abide_core::ids::{Id, Policy as PolicyKind, PolicyId};
use abide_core::original::PublicId;
use abide_core::policy::{Policy, content_hash};
use abide_storage::StorageResult;
use abide_storage::imports::{Brought, ImportedPolicy, OriginalOf, Outcome, Telling};

use super::{Run, hash_to_keep, is_foreign};
use crate::after::refused;
use crate::tx::Tx;
use crate::{originals, policies};

impl Run<'_> {
    pub(super) fn policy(
        &mut self,
        tx: &mut Tx<'_>,
        line: &ImportedPolicy,
    ) -> StorageResult<Brought> {
        let new = &line.new;
        is_foreign::<PolicyKind>(line.original.as_ref())?;
        new.check()?;
        self.not_in_the_future("created_at", line.created_at)?;
        let computed = content_hash(&new.content);
        let (content_hash, hash) =
            hash_to_keep("content_hash", line.content_hash.as_deref(), computed)?;
        let brought =
            |id: PolicyId, outcome| Brought { outcome, id: Some(id.to_string()), hash: Some(hash) };
        if let Some(known) = self.known_policy(tx, line)? {
            for (is_same, field) in [
                (known.policy_type == new.policy_type, "policy_type"),
                (known.version == new.version, "version"),
                (known.content_hash == content_hash, "content_hash"),
            ] {
                if !is_same {
                    let problem = "is not that of the policy which is here under this id";
                    return refused(Refusal::field(field, problem));
                }
            }
            return Ok(brought(known.id.id, Outcome::Unchanged));
        }
        let created_at = line.created_at.unwrap_or(self.now);
        let id = tx.id::<PolicyKind>(self.now);
        let policy = Policy {
            id: PublicId { id, original: line.original.clone() },
            policy_type: new.policy_type,
            version: new.version.clone(),
            title: new.title.clone(),
            content: Some(new.content.clone()),
            content_hash,
            effective_date: new.effective_date.unwrap_or(created_at),
            is_active: line.is_active,
            created_at,
            updated_at: created_at,
            deleted_at: None,
        };
        let organization = self.by.organization;
        policies::insert(tx, organization, &policy)?;
        if let Some(original) = &line.original {
            let keys = tx.keys(organization)?;
            originals::keep(tx, &keys, organization, OriginalOf::Policy, original, id.key())?;
        }
        if self.telling == Telling::Events {
            policies::announce(tx, organization, EventKind::PolicyCreated, &policy, self.now)?;
        }
        Ok(brought(id, Outcome::Created))
    }

    /// The policy that the line is of, where it is here, deleted or not. One that stands under its type and version and
    /// another id is refused.
    fn known_policy(
        &self,
        tx: &mut Tx<'_>,
        line: &ImportedPolicy,
    ) -> StorageResult<Option<Policy>> {
        let organization = self.by.organization;
        let keys = tx.keys(organization)?;
        let by_id = match &line.original {
            Some(original) => {
                let of = OriginalOf::Policy;
                originals::find(tx.connection(), &keys, organization, of, original)?
            }
            None => None,
        };
        let named = policies::taken(tx, organization, line.new.policy_type, &line.new.version)?;
        let Some(id) = by_id.map(Id::from_key).or(named) else { return Ok(None) };
        let known = tx
            .sql("SELECT * FROM policies WHERE policy = ?")
            .one([id.key()], policies::policy_of)?;
        if by_id.is_none() && known.id.original != line.original {
            let problem = "of this type is here, under another id";
            return refused(Refusal::field("version", problem));
        }
        Ok(Some(known))
    }
}
