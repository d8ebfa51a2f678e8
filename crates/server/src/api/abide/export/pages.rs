//! An export as a stream: each page is read when the one before has gone out, so that its memory is one page (I9).

use std::collections::BTreeMap;
use std::fmt;

use abide_core::Timestamp;
use abide_core::consent::hash::{RunningSha256, hex};
use abide_core::ids::{AuditEntryId, EndpointId, KeyId, OrganizationId, PolicyId, PurposeId};
use abide_storage::exports::{ExportBegun, Span};
use abide_storage::feeds::AuditFilter;
use abide_storage::{PageWanted, StorageError, StorageResult};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde::Serialize;

use super::lines::{
    ConsentLine, DecisionLine, Header, Kind, Line, PolicyLine, Trailer, UserLine, VERSION,
};
use crate::api::abide::answer::Time;
use crate::api::abide::audit::list::EntryObject;
use crate::api::abide::endpoints::view::EndpointObject;
use crate::api::abide::keys::KeyObject;
use crate::api::abide::organization::OrganizationObject;
use crate::api::abide::purposes::PurposeObject;
use crate::router::Shared;

/// Rows of a page.
const LIMIT: u32 = 100;
/// Policies of a page: each can be half a megabyte.
const POLICIES: u32 = 4;

/// The export broke off: the connection ends without the end of its body, and the document has no trailer.
#[derive(Debug)]
pub(super) struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the export broke off")
    }
}

impl std::error::Error for BrokenOff {}

/// The document, page by page.
pub(super) fn pages(
    shared: Shared,
    begun: ExportBegun,
    now: Timestamp,
) -> impl Stream<Item = Result<Bytes, BrokenOff>> + Send {
    let export = Export {
        organization: begun.organization.id,
        through: begun.last_decision,
        shared,
        now,
        next: Some(Part::Header(Box::new(begun))),
        hash: RunningSha256::default(),
        counts: COUNTED.into_iter().map(|kind| (kind, 0)).collect(),
        page: Vec::new(),
    };
    stream::unfold(Some(export), async |export| {
        let mut export = export?;
        match export.page().await {
            Ok(Some(page)) => Some((Ok(page), Some(export))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(reason = %error, "an export broke off");
                Some((Err(BrokenOff), None))
            }
        }
    })
}

/// What the trailer counts.
const COUNTED: [Kind; 8] = [
    Kind::Policy,
    Kind::Purpose,
    Kind::Decision,
    Kind::Consent,
    Kind::Endpoint,
    Kind::Key,
    Kind::User,
    Kind::AuditEntry,
];

/// The next page: of what, and behind which row.
enum Part {
    Header(Box<ExportBegun>),
    Policies(Option<PolicyId>),
    Purposes(Option<PurposeId>),
    Decisions(u64),
    Consents(u64),
    Endpoints(Option<EndpointId>),
    Keys(Option<KeyId>),
    Users(u32),
    Audit(Option<AuditEntryId>),
    Trailer,
}

struct Export {
    shared: Shared,
    organization: OrganizationId,
    /// The last decision to tell.
    through: u64,
    now: Timestamp,
    next: Option<Part>,
    /// Over all that was written.
    hash: RunningSha256,
    counts: BTreeMap<Kind, u64>,
    page: Vec<u8>,
}

impl Export {
    /// The next lines; `None` behind the trailer.
    async fn page(&mut self) -> StorageResult<Option<Bytes>> {
        while self.page.is_empty() {
            let Some(part) = self.next.take() else { return Ok(None) };
            self.next = self.write(part).await?;
        }
        self.hash.update(&self.page);
        Ok(Some(std::mem::take(&mut self.page).into()))
    }

    async fn write(&mut self, part: Part) -> StorageResult<Option<Part>> {
        Ok(Some(match part {
            Part::Header(begun) => {
                let header = Header {
                    version: VERSION,
                    organization: OrganizationObject::from(begun.organization),
                    exported_at: Time(self.now),
                    last_decision: self.through,
                };
                self.line(Kind::Header, header)?;
                Part::Policies(None)
            }
            Part::Policies(after) => self.policies(after).await?,
            Part::Purposes(after) => self.purposes(after).await?,
            Part::Decisions(after) => self.decisions(after).await?,
            Part::Consents(after) => self.consents(after).await?,
            Part::Endpoints(before) => self.endpoints(before).await?,
            Part::Keys(after) => self.keys(after).await?,
            Part::Users(page) => self.users(page).await?,
            Part::Audit(after) => self.audit(after).await?,
            Part::Trailer => {
                let sha256 = hex(&self.hash.clone().finish());
                let counts = self.counts.clone();
                self.line(Kind::Trailer, Trailer { counts, sha256 })?;
                return Ok(None);
            }
        }))
    }

    async fn policies(&mut self, after: Option<PolicyId>) -> StorageResult<Part> {
        let exports = self.shared.app.storage.exports();
        let found = exports.policies(self.organization, after, POLICIES).await?;
        let last = found.last().filter(|_| found.len() == POLICIES as usize).map(|last| last.id.id);
        for policy in found {
            self.line(Kind::Policy, PolicyLine::from(policy))?;
        }
        Ok(last.map_or(Part::Purposes(None), |last| Part::Policies(Some(last))))
    }

    async fn purposes(&mut self, after: Option<PurposeId>) -> StorageResult<Part> {
        let purposes = self.shared.app.storage.purposes();
        let found = purposes.list_after(self.organization, after, LIMIT).await?;
        let last = found.last().filter(|_| found.len() == LIMIT as usize).map(|last| last.id);
        for purpose in found {
            self.line(Kind::Purpose, PurposeObject::from(purpose))?;
        }
        Ok(last.map_or(Part::Decisions(0), |last| Part::Purposes(Some(last))))
    }

    async fn decisions(&mut self, after: u64) -> StorageResult<Part> {
        let exports = self.shared.app.storage.exports();
        let found = exports.decisions(self.organization, self.span(after)).await?;
        for decision in found.entries {
            self.line(Kind::Decision, DecisionLine::from(decision))?;
        }
        Ok(if found.has_more { Part::Decisions(found.next) } else { Part::Consents(0) })
    }

    async fn consents(&mut self, after: u64) -> StorageResult<Part> {
        let exports = self.shared.app.storage.exports();
        let found = exports.consents(self.organization, self.span(after)).await?;
        for consent in found.entries {
            self.line(Kind::Consent, ConsentLine::from(consent))?;
        }
        Ok(if found.has_more { Part::Consents(found.next) } else { Part::Endpoints(None) })
    }

    async fn endpoints(&mut self, before: Option<EndpointId>) -> StorageResult<Part> {
        let endpoints = self.shared.app.storage.endpoints();
        let found = endpoints.before(self.organization, None, before, LIMIT).await?;
        for endpoint in &found {
            self.line(Kind::Endpoint, EndpointObject::from(endpoint))?;
        }
        let last = found.last().filter(|_| found.len() == LIMIT as usize);
        Ok(last.map_or(Part::Keys(None), |last| Part::Endpoints(Some(last.id))))
    }

    async fn keys(&mut self, after: Option<KeyId>) -> StorageResult<Part> {
        let accounts = self.shared.app.storage.accounts();
        let found = accounts.keys_after(self.organization, after, LIMIT).await?;
        for key in &found {
            self.line(Kind::Key, KeyObject::from(key))?;
        }
        let last = found.last().filter(|_| found.len() == LIMIT as usize);
        Ok(last.map_or(Part::Users(1), |last| Part::Keys(Some(last.id))))
    }

    async fn users(&mut self, page: u32) -> StorageResult<Part> {
        let users = self.shared.app.storage.users();
        let found = users.list(self.organization, PageWanted { page, limit: LIMIT }).await?;
        let is_last = found.items.len() < LIMIT as usize;
        for user in found.items {
            self.line(Kind::User, UserLine::from(user))?;
        }
        Ok(if is_last { Part::Audit(None) } else { Part::Users(page + 1) })
    }

    async fn audit(&mut self, after: Option<AuditEntryId>) -> StorageResult<Part> {
        // The entry of this export is the last one in it.
        let filter = AuditFilter { to: Some(self.now.plus_millis(1)), ..AuditFilter::default() };
        let feeds = self.shared.app.storage.feeds();
        let found = feeds.audit_before(self.organization, filter, after, LIMIT).await?;
        for entry in found.entries {
            self.line(Kind::AuditEntry, EntryObject::from(entry))?;
        }
        Ok(found.next.map_or(Part::Trailer, |next| Part::Audit(Some(next))))
    }

    fn span(&self, after: u64) -> Span {
        Span { after, through: self.through, limit: LIMIT }
    }

    fn line<T: Serialize>(&mut self, kind: Kind, data: T) -> StorageResult<()> {
        let from = self.page.len();
        serde_json::to_writer(&mut self.page, &Line { r#type: kind, data })
            .map_err(|_| StorageError::Damaged("a line cannot be written".to_owned()))?;
        // What a caller attached is kept as it was sent; between its tokens there may be ends of lines.
        for byte in &mut self.page[from..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        self.page.push(b'\n');
        if let Some(count) = self.counts.get_mut(&kind) {
            *count += 1;
        }
        Ok(())
    }
}
