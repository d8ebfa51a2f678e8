//! Endpoints that are brought along.

use abide_core::Refusal;
use abide_core::endpoint::EndpointState;
use abide_core::ids::{Endpoint, EndpointId, Id};
use abide_storage::StorageResult;
use abide_storage::imports::{Brought, ImportedEndpoint, OriginalOf, Outcome};

use super::{Run, is_foreign};
use crate::after::refused;
use crate::tx::Tx;
use crate::{endpoint_secrets, endpoints, originals};

impl Run<'_> {
    pub(super) fn endpoint(
        &mut self,
        tx: &mut Tx<'_>,
        line: &ImportedEndpoint,
    ) -> StorageResult<Brought> {
        is_foreign::<Endpoint>(Some(&line.original))?;
        endpoints::check(&line.new)?;
        self.not_in_the_future("created_at", line.created_at)?;
        let organization = self.by.organization;
        let keys = tx.keys(organization)?;
        let of = OriginalOf::Endpoint;
        let known = originals::find(tx.connection(), &keys, organization, of, &line.original)?;
        if let Some(known) = known.map(Id::from_key) {
            self.is_the_same_endpoint(tx, known, line)?;
            return Ok(brought(known, Outcome::Unchanged));
        }
        // It hears of the lines that follow it, and not of those before.
        self.tell(tx)?;
        let new = endpoints::New {
            made_of: &line.new,
            original: Some(&line.original),
            state: if line.is_active { EndpointState::Active } else { EndpointState::Paused },
            created_at: line.created_at.unwrap_or(self.now),
        };
        let id = endpoints::insert(tx, self.by, &new, self.now)?;
        originals::keep(tx, &keys, organization, of, &line.original, id.key())?;
        Ok(brought(id, Outcome::Created))
    }

    /// Refuses what differs from the endpoint that was brought along under the same id.
    fn is_the_same_endpoint(
        &self,
        tx: &mut Tx<'_>,
        known: EndpointId,
        line: &ImportedEndpoint,
    ) -> StorageResult<()> {
        let keys = tx.keys(self.by.organization)?;
        let before = endpoints::live(tx, self.by.organization, known)?;
        let secrets = endpoint_secrets::live(tx.connection(), &keys, known, self.now)?;
        let signs = secrets.iter().any(|one| one.secret.reveal() == line.new.secret.reveal());
        for (is_same, field) in [
            (before.dialect == line.new.dialect, "dialect"),
            (before.url == line.new.url, "url"),
            (signs, "secret"),
        ] {
            if !is_same {
                let problem = "is not that of the webhook which is here under this id";
                return refused(Refusal::field(field, problem));
            }
        }
        Ok(())
    }
}

fn brought(id: EndpointId, outcome: Outcome) -> Brought {
    Brought { outcome, id: Some(id.to_string()), hash: None }
}
