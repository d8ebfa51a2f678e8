//! Events as files, so that a golden folder shows what went in beside what came out.

use abide_core::Timestamp;
use abide_core::consent::ConsentView;
use abide_core::event::{BatchView, Event, EventBody, EventKind};
use abide_core::ids::{BatchId, EventId, OrganizationId};
use abide_core::policy::Policy;
use serde::Deserialize;

/// `event.json` of a golden folder. Times are in milliseconds; exactly one of the three bodies is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventFile {
    id: EventId,
    organization: OrganizationId,
    kind: EventKind,
    created_at: Timestamp,
    render_version: u16,
    consent: Option<ConsentView>,
    batch: Option<BatchFile>,
    policy: Option<Policy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchFile {
    id: BatchId,
    consents: Vec<ConsentView>,
}

/// Reads `event.json`.
pub(crate) fn read_event(text: &str) -> Event {
    let file: EventFile = serde_json::from_str(text).expect("event.json is an event");
    let subject = file.consent.as_ref().map(|consent| consent.subject);
    let body = match (file.consent, file.batch, file.policy) {
        (Some(consent), None, None) => EventBody::Consent(consent),
        (None, Some(BatchFile { id, consents }), None) => {
            EventBody::Batch(BatchView { id, consents })
        }
        (None, None, Some(policy)) => EventBody::Policy(policy),
        _ => panic!("event.json has exactly one of consent, batch and policy"),
    };
    Event {
        id: file.id,
        organization: file.organization,
        kind: file.kind,
        created_at: file.created_at,
        subject,
        render_version: file.render_version,
        body,
    }
}
