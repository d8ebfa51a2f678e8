//! What the tests share: events out of files, events by chance, and the receiver's side of a request.

mod event_file;
pub(crate) mod strategies;

use abide_core::Timestamp;
use abide_core::endpoint::Source;
use abide_core::event::Event;
use abide_core::ids::{EndpointId, EventId};
use abide_dialects::{Answer, Content, Dialect, Received, Rendered, Signing, WireRequest};
use bytes::Bytes;
use zeroize::Zeroizing;

pub(crate) use event_file::read_event;

/// A secret that every dialect so far takes.
pub(crate) const SECRET: &str =
    "whsec_000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The event, the endpoint and the time of sending that goldens are made with: 2024-01-15T10:35:01.500Z. The secret is
/// kept for as long as the test's process.
pub(crate) fn signing(secret: &str) -> Signing<'static> {
    let secrets = Box::leak(Box::new([Zeroizing::new(secret.to_owned())]));
    Signing {
        event: EventId::from_key((1_705_314_900_000 << 21) | 5),
        endpoint: EndpointId::from_key((1_705_314_600_000 << 21) | 7),
        original: None,
        secrets,
        at: Timestamp::from_millis(1_705_314_901_500),
        token: [7; 16],
    }
}

/// The same for a delivery of that event.
pub(crate) fn signing_of(event: &Event, secret: &str) -> Signing<'static> {
    Signing { event: event.id, ..signing(secret) }
}

/// Renders an event as the dialect's source asks for it.
pub(crate) fn render(dialect: &dyn Dialect, event: &Event) -> Rendered {
    match dialect.rules().source {
        Source::Snapshot => dialect.render(&Content::Event(event)),
        source @ (Source::Latest | Source::Lane) => {
            panic!("{}: teach the tests to give what {source:?} sends", dialect.name())
        }
    }
}

/// What the receiver gets of what was sent.
pub(crate) fn received(request: &WireRequest) -> Received {
    Received {
        headers: request
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        body: request.body.clone(),
    }
}

/// An answer of that status and nothing else.
pub(crate) fn answer(status: u16) -> Answer {
    Answer { status, retry_after: None, body: Bytes::new() }
}

/// The value of a header that must be there once.
pub(crate) fn header<'a>(request: &'a WireRequest, name: &str) -> &'a str {
    let mut values = request.headers.iter().filter(|(known, _)| *known == name);
    let (_, value) = values.next().unwrap_or_else(|| panic!("no header {name}"));
    assert!(values.next().is_none(), "{name} twice");
    value
}
