//! One attempt: open it where that is needed, render, sign, send, read the answer, decide, record.
//!
//! At least once: whatever breaks between a send and its record is sent again with the same event id (I3).

use std::sync::Arc;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::blob;
use abide_core::delivery::{ErrorClass, Outcome, Run, decide};
use abide_core::endpoint::Source;
use abide_core::ids::{EndpointId, EventId};
use abide_core::shell::draw;
use abide_dialects::{Dialect, Rendered, Signing};
use abide_storage::deliveries::{Ending, FinishedAttempt, GiveBack, Sent};
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::credentials::{Credentials, Proof};
use crate::facts::Facts;
use crate::hub::Hub;
use crate::job::{About, Job, Rendering};
use crate::line::Verdict;
use crate::opening;
use crate::outbound::{Answered, Arrival, Connection, Target, UserAgent, WireRequest};

/// Bytes kept of an answer that did not deliver.
const ANSWER_KEPT: usize = 1024;
/// What could not be sent for reasons that time may mend, or that a person must, is tried again after so long.
pub(crate) const LATER_MILLIS: i64 = 60_000;
/// What this node could not begin to send is tried again after so long: what kept it may last for a while.
pub(crate) const SOON_MILLIS: i64 = 1_000;

/// A job out of its queue. If its worker ends in the middle, the row is given back: due in a minute after a panic,
/// which would come again; due now when the engine ends.
pub(crate) struct Flight {
    hub: Arc<Hub>,
    endpoint: EndpointId,
    job: Option<Job>,
    sent: Sent,
}

/// What one attempt carries besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) event: EventId,
    pub(crate) number: u32,
    pub(crate) number_in_run: u32,
    pub(crate) run: Run,
    /// Drawn with the state; else the time of sending is signed.
    pub(crate) signed_at: Option<Timestamp>,
    pub(crate) object_version: u64,
    /// What a snapshot's first attempt sent.
    pub(crate) first_sha256: Option<[u8; 32]>,
}

impl Terms {
    /// Of the first attempt of a snapshot.
    fn first(event: EventId, run: Run) -> Self {
        Self {
            event,
            number: 1,
            number_in_run: 1,
            run,
            signed_at: None,
            object_version: 0,
            first_sha256: None,
        }
    }
}

impl Flight {
    pub(crate) fn new(hub: &Arc<Hub>, endpoint: EndpointId, job: Job) -> Self {
        Self { hub: Arc::clone(hub), endpoint, job: Some(job), sent: Sent::Nothing }
    }

    pub(crate) fn job(&self) -> &Job {
        self.job.as_ref().expect("a job in flight")
    }

    fn job_mut(&mut self) -> &mut Job {
        self.job.as_mut().expect("a job in flight")
    }

    /// From now on the receiver may see something of it.
    fn takes_off(&mut self) {
        self.sent = Sent::Perhaps;
    }

    fn finish(mut self, finished: FinishedAttempt) {
        if let Some(job) = self.job.take() {
            self.hub.reporter.finished(job, finished);
        }
    }

    fn give_back(mut self, to: GiveBack) -> Verdict {
        if let Some(job) = self.job.take() {
            self.hub.reporter.give_back_sent(job, self.endpoint, self.sent, to);
        }
        Verdict::Neither
    }

    /// Gives it back, with nothing to say of its endpoint.
    pub(crate) fn end(self, to: GiveBack) {
        self.give_back(to);
    }

    /// The row is no longer this node's.
    fn let_go(mut self) -> Verdict {
        self.job = None;
        Verdict::Neither
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            let wait = if self.hub.is_draining() { 0 } else { LATER_MILLIS };
            let due = self.hub.clock.now().plus_millis(wait);
            let to = GiveBack::Due(due);
            self.hub.reporter.give_back_sent(job, self.endpoint, self.sent, to);
        }
    }
}

/// Makes one attempt.
pub(crate) async fn send(
    hub: &Arc<Hub>,
    facts: &Facts,
    mut flight: Flight,
    connection: &mut Option<Connection>,
) -> Verdict {
    if !hub.pulse.may_send() {
        return flight.give_back(GiveBack::Due(hub.clock.now().plus_millis(SOON_MILLIS)));
    }
    if flight.job().hold.is_lost() {
        return flight.let_go();
    }
    if !facts.admits(flight.job()) {
        return flight.give_back(GiveBack::Stopped);
    }
    let Some(dialect) = facts.dialect else {
        return flight.give_back(GiveBack::Due(hub.clock.now().plus_millis(LATER_MILLIS)));
    };
    if let Some(event) = flight.job().event() {
        match hub.erased.judge(event) {
            About::ThemAlone => return flight.give_back(GiveBack::Unreadable),
            About::ThemAmongOthers => flight.job_mut().shed(&hub.room),
            About::Others => {}
        }
    }
    let attempt = Attempt { hub, facts, dialect };
    match flight.job().event() {
        Some(event) if facts.source == Source::Snapshot || flight.job().is_test() => {
            let event = Arc::clone(event);
            let run = flight.job().run();
            let Rendering { rendered, sha256, .. } = event.rendering(dialect);
            let terms = Terms::first(event.event.id, run);
            attempt.make(flight, rendered, *sha256, terms, connection).await
        }
        _ => match Box::pin(opening::open(hub, facts, dialect, flight.job())).await {
            opening::Opened::Ready(ready) => {
                let Rendering { rendered, sha256, .. } = &ready.rendering;
                attempt.make(flight, rendered, *sha256, ready.terms, connection).await
            }
            opening::Opened::Back(to) => flight.give_back(to),
            opening::Opened::Moved => flight.let_go(),
        },
    }
}

struct Attempt<'a> {
    hub: &'a Arc<Hub>,
    facts: &'a Facts,
    dialect: &'static dyn Dialect,
}

impl<'a> Attempt<'a> {
    /// Gets ready what the attempt proves Abide by. Where that took a while, whatever must be so for an attempt to begin
    /// must be so still; nothing was sent.
    async fn prove(
        &self,
        own: &'a Credentials,
        flight: &Flight,
        deadline: Duration,
    ) -> Result<Proving<'a>, GiveBack> {
        let Self { hub, facts, .. } = *self;
        let began = Instant::now();
        let until = began + deadline;
        let proof = own.proof(hub, until).await;
        if own.take_tokens() {
            let known = hub.registry.find(flight.endpoint).filter(|_| !flight.job().is_test());
            if known.is_some_and(|endpoint| endpoint.has_changed_since(facts)) {
                return Err(GiveBack::Due(hub.clock.now()));
            }
            if !hub.pulse.may_send() {
                return Err(GiveBack::Due(hub.clock.now().plus_millis(SOON_MILLIS)));
            }
        }
        Ok(Proving { own, proof, began, until })
    }

    async fn make(
        &self,
        mut flight: Flight,
        rendered: &Rendered,
        sha256: [u8; 32],
        terms: Terms,
        connection: &mut Option<Connection>,
    ) -> Verdict {
        let Self { hub, facts, dialect } = *self;
        let started_at = hub.clock.now();
        let deadline = blob::deadline(facts.deadline, rendered.body.len() as u64);
        if deadline > facts.deadline {
            hub.pulse.longer_send(Instant::now(), deadline.saturating_sub(facts.deadline));
        }
        // Before the signature, which is made at the time of sending (I6): a token may have to be fetched.
        let proving = match &facts.credentials {
            None => None,
            Some(own) => match Box::pin(self.prove(own, &flight, deadline)).await {
                Ok(proving) => Some(proving),
                Err(to) => return flight.give_back(to),
            },
        };
        let signed_at = terms
            .signed_at
            .unwrap_or_else(|| if proving.is_some() { hub.clock.now() } else { started_at });
        let token = draw::<16>(&*hub.chance);
        let signed = dialect.sign(
            rendered,
            &Signing {
                event: terms.event,
                endpoint: flight.endpoint,
                original: facts.original.as_ref(),
                secrets: facts.secrets_at(signed_at),
                at: signed_at,
                token,
            },
        );
        let body_length = signed.body.len() as u32;
        let sha256 = if signed.body == rendered.body {
            sha256
        } else {
            abide_core::consent::hash::sha256(&signed.body)
        };
        if terms.first_sha256.is_some_and(|first| first != sha256) {
            // Somebody broke a rendering.
            let delivery = flight.job().delivery;
            tracing::error!(%delivery, "a snapshot's retry has other bytes than its first attempt");
        }
        let Some(request) = to_outbound(signed) else {
            let delivery = flight.job().delivery;
            tracing::error!(%delivery, dialect = dialect.name(), "made a header that HTTP forbids");
            return flight.give_back(GiveBack::Unreadable);
        };
        let read = match (&facts.target, proving) {
            (Ok(target), None) => {
                flight.takes_off();
                let answered = post(hub, connection, target, request, deadline).await;
                Read::of(dialect, answered, hub.clock.now())
            }
            (Ok(_), Some(Proving { own, proof: Some(proof), began, until })) => {
                flight.takes_off();
                let sending = own.send(hub, connection, request, proof, until);
                let answered = Box::pin(sending).await;
                let answered = Answered { elapsed: began.elapsed(), ..answered };
                Read::of(dialect, answered, hub.clock.now())
            }
            (Ok(_), Some(Proving { proof: None, began, .. })) => {
                Read { took: began.elapsed(), ..Read::never_sent(ErrorClass::OauthToken) }
            }
            (Err(class), _) => Read::never_sent(*class),
        };
        let draw = u16::from_le_bytes(draw::<2>(&*hub.chance));
        let decided = decide(
            read.outcome,
            terms.run,
            terms.number_in_run,
            &facts.schedule,
            hub.clock.now(),
            draw,
        );
        hub.storage.metrics().attempt_seconds.observe(read.took.as_secs_f64());
        let endpoint = flight.endpoint;
        let job = flight.job();
        let finished = FinishedAttempt {
            delivery: job.delivery,
            endpoint,
            lease: job.hold.id,
            number: terms.number,
            started_at,
            duration_millis: read.took.as_millis() as u32,
            signed_at,
            token,
            body_sha256: sha256,
            body_length,
            object_version: terms.object_version,
            endpoint_version: facts.version,
            status: read.status,
            error: read.error,
            ending: read.ending,
            answer: read.answer,
            decided,
        };
        flight.finish(finished);
        match read.outcome {
            Outcome::Delivered | Outcome::Skipped => Verdict::Well,
            Outcome::Retry { .. } | Outcome::Failed => Verdict::Badly,
            Outcome::Gone if terms.run == Run::Test => Verdict::Badly,
            Outcome::Gone => Verdict::Gone,
        }
    }
}

/// What an attempt with credentials has by the time that it is signed.
struct Proving<'a> {
    own: &'a Credentials,
    /// `None`: no token was to be had.
    proof: Option<Proof>,
    began: Instant,
    until: Instant,
}

async fn post(
    hub: &Hub,
    connection: &mut Option<Connection>,
    target: &Target,
    request: WireRequest,
    deadline: Duration,
) -> Answered {
    hub.courier.send(connection, target, request, deadline).await
}

/// What an attempt came to, read by its dialect.
struct Read {
    outcome: Outcome,
    status: Option<u16>,
    error: Option<ErrorClass>,
    ending: Ending,
    answer: Option<Vec<u8>>,
    took: Duration,
}

impl Read {
    fn of(dialect: &dyn Dialect, answered: Answered, now: Timestamp) -> Self {
        let took = answered.elapsed;
        let answer = match answered.result {
            Ok(answer) => answer,
            Err(why) => {
                let ending = match why.arrival() {
                    Arrival::NotArrived => Ending::NotSent,
                    Arrival::Unknown => Ending::Unknown,
                };
                return Self { ending, took, ..Self::never_sent(why.class()) };
            }
        };
        let outcome = dialect.classify(&abide_dialects::Answer {
            status: answer.status,
            retry_after: answer.retry_after.as_deref().and_then(|text| wished(text, now)),
            body: answer.body.clone(),
        });
        let kept = match outcome {
            Outcome::Delivered | Outcome::Skipped => None,
            Outcome::Retry { .. } | Outcome::Failed | Outcome::Gone => {
                Some(answer.body[..answer.body.len().min(ANSWER_KEPT)].to_vec())
            }
        };
        Self {
            outcome,
            status: Some(answer.status),
            error: None,
            ending: Ending::Answered,
            answer: kept,
            took,
        }
    }

    fn never_sent(class: ErrorClass) -> Self {
        Self {
            outcome: Outcome::Retry { retry_after: None },
            status: None,
            error: Some(class),
            ending: Ending::NotSent,
            answer: None,
            took: Duration::ZERO,
        }
    }
}

/// Seconds from now that a `Retry-After` asks for, as a number or as a date; a date that has passed asks for none.
fn wished(text: &str, now: Timestamp) -> Option<u32> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let millis = Timestamp::parse_http_date(text)?.millis_since(now).max(0);
        u32::try_from((millis + 999) / 1000).ok()
    })
}

/// `None` when a header is none that HTTP allows: a fault of the dialect.
fn to_outbound(request: abide_dialects::WireRequest) -> Option<WireRequest> {
    let mut headers = Vec::with_capacity(request.headers.len());
    for (name, value) in request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.push((name, HeaderValue::try_from(value).ok()?));
    }
    Some(WireRequest { headers, body: request.body.into(), user_agent: UserAgent::Abide })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SW-13: a receiver may say when to come back in either form.
    #[test]
    fn sw13_retry_after_is_read_in_both_forms() {
        let now = Timestamp::parse("2024-01-15T10:29:00.5Z").expect("a time");
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Mon, 15 Jan 2024 10:30:00 GMT", Some(60)),
            ("Mon, 15 Jan 2024 10:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(wished(text, now), expected, "{text:?}");
        }
    }
}
