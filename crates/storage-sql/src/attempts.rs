//! Attempts: opening one, and recording how it ended.

use std::sync::Arc;

use crate::params;
use crate::sql::Bind;
use abide_core::Timestamp;
use abide_core::consent::SubjectState;
use abide_core::delivery::{Decided, DeliveryState, ErrorClass, Next, Reason, Run, Trigger, next};
use abide_core::endpoint::Source;
use abide_core::event::{Event, EventBody};
#[cfg(feature = "faults")]
use abide_core::fault::{Fault, is_planted};
use abide_core::ids::{DeliveryId, EndpointId, EventId, LeaseId, OrganizationId, SubjectId};
use abide_core::lane::{AttemptEnd, AttemptId};
use abide_storage::StorageResult;
use abide_storage::deliveries::{
    Ending, FinishedAttempt, Fresh, GiveBack, GivenBack, NOT_STARTED, OpenAttempt, Opened, Opening,
    Report, Sent,
};
use abide_storage::sealing::Place;

use crate::after::Counted;
use crate::counts::{AttemptCount, Tally};
use crate::deliveries::{standing_of, stop_row, stopped};
use crate::endpoints::{EndpointFacts, facts};
use crate::keys::unless_destroyed;
use crate::lanes::{self, Closed, Entered};
use crate::leases;
use crate::ledger;
use crate::people;
use crate::publish::{Stored, load_event};
use crate::rows::{damaged, id, maybe_id, named};
use crate::tx::Tx;

/// How long a delivery waits for an attempt in its lane that should have ended, in milliseconds.
const WAIT_AGAIN: i64 = 1_000;

/// A delivery's row.
struct DeliveryRow {
    id: DeliveryId,
    organization: OrganizationId,
    event: EventId,
    endpoint: EndpointId,
    subject: Option<SubjectId>,
    state: DeliveryState,
    lease: Option<LeaseId>,
    run: Run,
    attempts: u32,
    attempts_in_run: u32,
    /// Where it stands against its endpoint's line.
    standing: DeliveryId,
}

fn load(tx: &Tx<'_>, delivery: DeliveryId) -> StorageResult<Option<DeliveryRow>> {
    tx.sql("SELECT * FROM deliveries WHERE delivery = ? FOR UPDATE").maybe(
        [delivery.key()],
        |row| {
            Ok(DeliveryRow {
                id: delivery,
                organization: id(row, "organization")?,
                event: id(row, "event")?,
                endpoint: id(row, "endpoint")?,
                subject: maybe_id(row, "subject")?,
                state: named(row, "state", DeliveryState::parse)?,
                lease: maybe_id(row, "lease")?,
                run: named(row, "run", Run::parse)?,
                attempts: row.get("attempts")?,
                attempts_in_run: row.get("attempts_in_run")?,
                standing: standing_of(row)?,
            })
        },
    )
}

/// Opens an attempt, or says what became of the delivery.
pub(crate) fn open(tx: &mut Tx<'_>, open: OpenAttempt, now: Timestamp) -> StorageResult<Opened> {
    lanes::hold_those_of(tx, &[open.delivery])?;
    // One that is gone went with its organization.
    let Some(row) = load(tx, open.delivery)? else {
        return Ok(Opened::Moved(DeliveryState::Cancelled));
    };
    if !row.state.is_leased() || row.lease != Some(open.lease) || !leases::is_held(tx, open.lease)?
    {
        return Ok(Opened::Moved(row.state));
    }
    let endpoint = facts(tx.connection(), row.endpoint)?;
    if let Some(stop) = stopped(&endpoint, row.standing) {
        stop_row(tx, row.id, stop)?;
        return moved(tx, row.id);
    }
    let keys = tx.keys(row.organization)?;
    let event = match load_event(tx.connection(), &keys, row.organization, row.event.key())? {
        Some(Stored::Event(event)) => Arc::new(*event),
        Some(Stored::Erased) => return erased(tx, row.id),
        None => return Err(damaged("deliveries.event")),
    };
    match source_of(&endpoint, &event) {
        Source::Snapshot => {
            let first_sha256 = if is_whole(tx, &event)? { first_body(tx, row.id)? } else { None };
            opened(tx, &row, &open, &endpoint, event, Fresh::Snapshot, None, 0, first_sha256, now)
        }
        Source::Latest => {
            let Some((consent, signed_at)) = latest(tx, &row, &event, now)? else {
                return erased(tx, row.id);
            };
            let version = u64::from(consent.version);
            let fresh = Fresh::Latest(Box::new(consent));
            opened(tx, &row, &open, &endpoint, event, fresh, Some(signed_at), version, None, now)
        }
        Source::Lane => open_in_lane(tx, &row, &open, &endpoint, event, now),
    }
}

/// What the event is sent as. One about several people or about nobody has no one state that could be read anew: it is
/// its own content for every endpoint.
fn source_of(endpoint: &EndpointFacts, event: &Event) -> Source {
    match event.body {
        EventBody::Consent(_) if event.subject.is_some() => endpoint.rules.source,
        // A consent that is nobody's is a test's.
        EventBody::Consent(_) | EventBody::Batch(_) | EventBody::Policy(_) => Source::Snapshot,
    }
}

fn open_in_lane(
    tx: &mut Tx<'_>,
    row: &DeliveryRow,
    open: &OpenAttempt,
    endpoint: &EndpointFacts,
    event: Arc<Event>,
    now: Timestamp,
) -> StorageResult<Opened> {
    let Some(subject) = row.subject else { return erased(tx, row.id) };
    let by_hand = row.run != Run::First;
    let attempt = AttemptId { delivery: row.id, lease: open.lease, number: row.attempts + 1 };
    let entered = lanes::enter(tx, endpoint.id, subject, attempt, by_hand, (now, open.ends_by))?;
    match entered {
        Entered::Send(version, sent_at) => {
            let keys = tx.keys(row.organization)?;
            let Some(key) = people::key_of(tx.connection(), &keys, subject)? else {
                return erased(tx, row.id);
            };
            let consents = ledger::all_of(tx.connection(), subject)?
                .iter()
                .map(|consent| ledger::view_with(tx.connection(), &key, consent))
                .collect::<StorageResult<_>>()?;
            let fresh = Fresh::Subject(SubjectState { subject, version, consents });
            opened(tx, row, open, endpoint, event, fresh, Some(sent_at), version, None, now)
        }
        Entered::Wait(until) => {
            // Its end wakes this one; where that is overdue, look again in a while.
            let again = if until > now { until } else { now.plus_millis(WAIT_AGAIN) };
            give_back(tx, row, GiveBack::Due(again))?;
            moved(tx, row.id)
        }
        Entered::Covered => {
            end(tx, row.id, DeliveryState::Delivered, None)?;
            lanes::ended(tx, endpoint.id, subject, row.id)?;
            moved(tx, row.id)
        }
        Entered::Superseded(by) => {
            lanes::supersede(tx, row.id, by)?;
            moved(tx, row.id)
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one row's worth of facts, gathered by its three callers"
)]
fn opened(
    tx: &Tx<'_>,
    row: &DeliveryRow,
    open: &OpenAttempt,
    endpoint: &EndpointFacts,
    event: Arc<Event>,
    fresh: Fresh,
    signed_at: Option<Timestamp>,
    object_version: u64,
    first_sha256: Option<[u8; 32]>,
    now: Timestamp,
) -> StorageResult<Opened> {
    let number = row.attempts + 1;
    let number_in_run = row.attempts_in_run + 1;
    #[cfg(feature = "faults")]
    if is_planted(Fault::RecordedBeforeSent) {
        end(tx, row.id, DeliveryState::Delivered, None)?;
    }
    #[cfg(feature = "faults")]
    let event = match is_planted(Fault::NewIdOnRetry) && number > 1 {
        true => Arc::new(Event { id: tx.id(now), ..(*event).clone() }),
        false => event,
    };
    tx.sql("UPDATE deliveries SET attempts = ?, attempts_in_run = ? WHERE delivery = ?")
        .execute(params![number, number_in_run, row.id.key()])?;
    let trigger = trigger_of(row.run, number_in_run);
    tx.sql(
        "INSERT INTO attempts (delivery, number, lease, started_at, signed_at, trigger, object_version, \
         endpoint_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (delivery, number, lease) DO UPDATE SET started_at = excluded.started_at, \
         signed_at = excluded.signed_at, trigger = excluded.trigger, object_version = excluded.object_version, \
         endpoint_version = excluded.endpoint_version, duration_millis = NULL, ending = NULL, token = NULL, \
         body_sha256 = NULL, body_length = NULL, status = NULL, error = NULL, answer = NULL, late = 0",
    )
    .execute(params![
        row.id.key(),
        number,
        open.lease.key(),
        now.as_millis(),
        signed_at.map(Timestamp::as_millis),
        trigger,
        object_version as i64,
        endpoint.version,
    ])?;
    Ok(Opened::Send(Box::new(Opening {
        endpoint: row.endpoint,
        event,
        fresh,
        number,
        number_in_run,
        run: row.run,
        signed_at,
        object_version,
        first_sha256,
    })))
}

fn trigger_of(run: Run, number_in_run: u32) -> &'static str {
    if run != Run::First && number_in_run == 1 { "manual" } else { "schedule" }
}

/// The event's consent as it is now, with a signature time later than any drawn for it before (I6).
fn latest(
    tx: &mut Tx<'_>,
    row: &DeliveryRow,
    event: &Event,
    now: Timestamp,
) -> StorageResult<Option<(abide_core::consent::ConsentView, Timestamp)>> {
    let EventBody::Consent(told) = &event.body else {
        return Err(damaged("events.kind"));
    };
    let keys = tx.keys(row.organization)?;
    // The time comes first: with it the row is this transaction's, so that what is read is as new as what any earlier time
    // was drawn for.
    let signed_at: i64 = tx
        .sql(
            "UPDATE consents SET last_signed_at = greatest(?, last_signed_at + 1) WHERE consent = ? \
             RETURNING last_signed_at",
        )
        .one([now.as_millis(), told.id.id.key()], |row| row.get(0))?;
    #[cfg(feature = "faults")]
    let signed_at =
        if is_planted(Fault::SignatureTimeNotDrawn) { now.as_millis() } else { signed_at };
    let consent = ledger::by_id(tx.connection(), row.organization, told.id.id)?
        .ok_or_else(|| damaged("events.consent"))?;
    let Some(view) = ledger::view(tx.connection(), &keys, &consent)? else { return Ok(None) };
    Ok(Some((view, Timestamp::from_millis(signed_at))))
}

/// Whether the event is all that it was: a batch has lost the parts of people erased since.
fn is_whole(tx: &Tx<'_>, event: &Event) -> StorageResult<bool> {
    let EventBody::Batch(batch) = &event.body else { return Ok(true) };
    let parts: i64 = tx
        .sql("SELECT count(*) FROM event_parts WHERE event = ?")
        .one([event.id.key()], |row| row.get(0))?;
    Ok(parts == batch.consents.len() as i64)
}

fn first_body(tx: &Tx<'_>, delivery: DeliveryId) -> StorageResult<Option<[u8; 32]>> {
    tx.sql(
        "SELECT body_sha256 FROM attempts WHERE delivery = ? AND body_sha256 IS NOT NULL ORDER BY number LIMIT 1",
    )
    .maybe([delivery.key()], |row| row.get(0))
}

fn moved(tx: &Tx<'_>, delivery: DeliveryId) -> StorageResult<Opened> {
    load(tx, delivery)?
        .map(|row| Opened::Moved(row.state))
        .ok_or_else(|| damaged("deliveries.delivery"))
}

fn erased(tx: &Tx<'_>, delivery: DeliveryId) -> StorageResult<Opened> {
    end(tx, delivery, DeliveryState::Erased, Some(Reason::SubjectErased))?;
    Ok(Opened::Moved(DeliveryState::Erased))
}

/// Moves a row that rests with this node to a final state.
fn end(
    tx: &Tx<'_>,
    delivery: DeliveryId,
    state: DeliveryState,
    reason: Option<Reason>,
) -> StorageResult<()> {
    tx.sql(
        "UPDATE deliveries SET state = ?, reason = ?, lease = NULL, due_at = NULL \
         WHERE delivery = ? AND state IN ('hot', 'claimed')",
    )
    .execute(params![state.as_str(), reason.map(Reason::as_str), delivery.key()])?;
    Ok(())
}

/// Records what a node reports.
pub(crate) fn report(tx: &mut Tx<'_>, report: &Report, now: Timestamp) -> StorageResult<()> {
    let mut tally = Tally::default();
    let plain = finish_plainly(tx, &report.finished, &mut tally)?;
    let others = report.finished.iter().zip(plain).filter(|(_, is_done)| !is_done);
    let others: Vec<&FinishedAttempt> = others.map(|(finished, _)| finished).collect();
    let moving = others.iter().map(|finished| finished.delivery);
    let moving: Vec<_> =
        moving.chain(report.given_back.iter().map(|given| given.delivery)).collect();
    lanes::hold_those_of(tx, &moving)?;
    for finished in others {
        finish(tx, finished, now, &mut tally)?;
    }
    for given_back in &report.given_back {
        let Some(row) = load(tx, given_back.delivery)? else { continue };
        let current = row.state.is_leased()
            && row.lease == Some(given_back.lease)
            && leases::is_held(tx, given_back.lease)?;
        let closed = end_opened(tx, &row, given_back, current, now, &mut tally)?;
        match closed {
            _ if !current => {}
            Closed::Newer(by) => lanes::supersede(tx, row.id, by)?,
            Closed::AsDecided => give_back_of(tx, &row, given_back, &mut tally)?,
        }
    }
    tally.write(tx, now)
}

/// Ends the attempt that was opened for a row given back, if there is one: the newest under its lease without an end.
fn end_opened(
    tx: &mut Tx<'_>,
    row: &DeliveryRow,
    given: &GivenBack,
    current: bool,
    now: Timestamp,
    tally: &mut Tally,
) -> StorageResult<Closed> {
    // What was sent perhaps has no known duration.
    let (ending, duration, error, in_lane) = match given.sent {
        Sent::Nothing => (Ending::NotSent, Some(0), Some(NOT_STARTED), AttemptEnd::NotSent),
        Sent::Perhaps => (Ending::Unknown, None::<u32>, None, AttemptEnd::Unknown),
    };
    let ended = tx
        .sql(
            "UPDATE attempts SET ending = ?, duration_millis = ?, error = ?, late = ? \
             WHERE delivery = ? AND number = ? AND lease = ? AND ending IS NULL",
        )
        .execute(params![
            ending.as_str(),
            duration,
            error,
            !current,
            row.id.key(),
            row.attempts,
            given.lease.key(),
        ])?;
    if ended == 0 {
        return Ok(Closed::AsDecided);
    }
    if given.sent == Sent::Perhaps && row.run != Run::Test {
        // When it began is in the row; about now is near enough for the time of the last one.
        tally.attempt(row.endpoint, now, AttemptCount::Blameless);
    }
    if current && given.sent == Sent::Nothing {
        // The step of the schedule is still to come; the number is taken.
        tx.sql("UPDATE deliveries SET attempts_in_run = attempts_in_run - 1 WHERE delivery = ?")
            .execute([row.id.key()])?;
    }
    let endpoint = facts(tx.connection(), row.endpoint)?;
    match (endpoint.rules.source, row.subject) {
        (Source::Lane, Some(subject)) => {
            let attempt = AttemptId { delivery: row.id, lease: given.lease, number: row.attempts };
            lanes::close(tx, &endpoint, subject, attempt, in_lane, now)
        }
        _ => Ok(Closed::AsDecided),
    }
}

fn give_back_of(
    tx: &mut Tx<'_>,
    row: &DeliveryRow,
    given: &GivenBack,
    tally: &mut Tally,
) -> StorageResult<()> {
    if row.run == Run::Test {
        return end(tx, row.id, DeliveryState::Failed, Some(Reason::TestCutOff));
    }
    match given.to {
        GiveBack::Parked | GiveBack::Due(_) => give_back(tx, row, given.to),
        GiveBack::Stopped => {
            let endpoint = facts(tx.connection(), row.endpoint)?;
            match stopped(&endpoint, row.standing) {
                Some(stop) => stop_row(tx, row.id, stop),
                // Started again meanwhile.
                None => give_back(tx, row, GiveBack::Due(row.event.drawn_at())),
            }
        }
        GiveBack::Unreadable => {
            if is_erased(tx, row)? {
                end(tx, row.id, DeliveryState::Erased, Some(Reason::SubjectErased))
            } else {
                tx.count(Counted::Failed);
                tally.moved(row.endpoint, DeliveryState::Failed);
                end(tx, row.id, DeliveryState::Failed, Some(Reason::Unreadable))
            }
        }
    }
}

/// Whether everyone whom the delivery's event is about was erased.
fn is_erased(tx: &Tx<'_>, row: &DeliveryRow) -> StorageResult<bool> {
    people::all_erased(tx.connection(), row.subject, row.event)
}

fn give_back(tx: &Tx<'_>, row: &DeliveryRow, to: GiveBack) -> StorageResult<()> {
    let (state, due_at) = match to {
        GiveBack::Due(at) => ("pending", at),
        GiveBack::Parked | GiveBack::Stopped | GiveBack::Unreadable => {
            ("parked", row.event.drawn_at())
        }
    };
    tx.sql(
        "UPDATE deliveries SET state = ?, lease = NULL, due_at = ? WHERE delivery = ? AND state IN ('hot', 'claimed')",
    )
    .execute(params![state, due_at.as_millis(), row.id.key()])?;
    Ok(())
}

/// The plain way of a success: one update that checks the lease, one insert. Answers of which that was all.
fn finish_plainly(
    tx: &mut Tx<'_>,
    all: &[FinishedAttempt],
    tally: &mut Tally,
) -> StorageResult<Vec<bool>> {
    let mut is_done = vec![false; all.len()];
    let (mut places, mut keys) = (Vec::new(), Vec::new());
    for (place, finished) in all.iter().enumerate() {
        if finished.decided.trigger == Trigger::OutcomeDelivered
            && finished.number == 1
            && finished.object_version == 0
            && leases::is_held(tx, finished.lease)?
        {
            places.push(place);
            keys.push([finished.delivery.key(), finished.lease.key()]);
        }
    }
    let sets: Vec<[&dyn Bind; 2]> =
        keys.iter().map(|[delivery, lease]| [delivery as _, lease as _]).collect();
    let moved = tx
        .sql(
            "UPDATE deliveries SET state = 'delivered', lease = NULL, attempts = 1, attempts_in_run = 1 \
             WHERE delivery = ? AND lease = ? AND attempts <= 1 AND state IN ('hot', 'claimed') AND run != 'test'",
        )
        .change_all(&sets)?;
    for place in moved.into_iter().map(|moved| places[moved]) {
        let finished = &all[place];
        tx.count(Counted::Delivered);
        tally.attempt(finished.endpoint, finished.started_at, AttemptCount::Successful);
        tally.moved(finished.endpoint, DeliveryState::Delivered);
        insert_attempt(tx, finished, "schedule", None, false)?;
        is_done[place] = true;
    }
    Ok(is_done)
}

fn finish(
    tx: &mut Tx<'_>,
    finished: &FinishedAttempt,
    now: Timestamp,
    tally: &mut Tally,
) -> StorageResult<()> {
    let Some(row) = load(tx, finished.delivery)? else { return Ok(()) };
    if is_recorded(tx, finished)? {
        // Reported again because the first report's commit was in doubt.
        return Ok(());
    }
    // A lease can open a delivery's next attempt while an earlier one of its own is not reported yet.
    let is_last = finished.number >= row.attempts;
    let is_ours = row.lease == Some(finished.lease) && leases::is_held(tx, finished.lease)?;
    let current = row.state.is_leased() && is_ours && is_last;
    #[cfg(feature = "faults")]
    let current = match row.state {
        state if state.is_final() => current || is_planted(Fault::LateOutcomeMovesFinal),
        _ => current || is_planted(Fault::LeaseNotFenced),
    };
    let endpoint = facts(tx.connection(), row.endpoint)?;
    let sealed = seal_answer(tx, &row, finished)?;
    let in_run = row.attempts_in_run.max(1);
    insert_attempt(tx, finished, trigger_of(row.run, in_run), sealed.as_deref(), !current)?;
    let count = match finished.decided.trigger {
        Trigger::OutcomeDelivered | Trigger::OutcomeSkipped => AttemptCount::Successful,
        _ if finished.ending == Ending::Unknown
            || finished.error.is_some_and(ErrorClass::is_abides_own) =>
        {
            AttemptCount::Blameless
        }
        _ => AttemptCount::Failed,
    };
    if row.run != Run::Test {
        tally.attempt(row.endpoint, finished.started_at, count);
    }
    let closed = match (endpoint.rules.source, row.subject) {
        (Source::Lane, Some(subject)) => {
            let end = match (finished.decided.trigger, finished.ending) {
                (Trigger::OutcomeDelivered | Trigger::OutcomeSkipped, _) => {
                    AttemptEnd::Acknowledged
                }
                (_, Ending::Unknown) => AttemptEnd::Unknown,
                (_, Ending::NotSent) => AttemptEnd::NotSent,
                (_, Ending::Answered) => AttemptEnd::Refused,
            };
            lanes::close(tx, &endpoint, subject, finished.attempt(), end, now)?
        }
        _ => Closed::AsDecided,
    };
    if !current {
        return Ok(());
    }
    settle(tx, &row, &endpoint, finished, closed, tally)
}

/// Whether this very attempt has its end already: the record of an attempt never changes.
fn is_recorded(tx: &Tx<'_>, finished: &FinishedAttempt) -> StorageResult<bool> {
    tx.sql(
        "SELECT 1 FROM attempts WHERE delivery = ? AND number = ? AND lease = ? AND ending IS NOT NULL",
    )
    .exists(params![finished.delivery.key(), finished.number, finished.lease.key()])
}

/// Moves the row as decided, by core's table.
fn settle(
    tx: &mut Tx<'_>,
    row: &DeliveryRow,
    endpoint: &EndpointFacts,
    finished: &FinishedAttempt,
    closed: Closed,
    tally: &mut Tally,
) -> StorageResult<()> {
    let Decided { trigger, due_at, reason } = finished.decided;
    let Next::To(state) = next(row.state, trigger) else { return Ok(()) };
    match trigger {
        Trigger::OutcomeDelivered => tx.count(Counted::Delivered),
        Trigger::OutcomeRetry => tx.count(Counted::Retried),
        Trigger::OutcomeFailed => tx.count(Counted::Failed),
        _ => {}
    }
    if let Closed::Newer(by) = closed
        && state != DeliveryState::Delivered
    {
        return lanes::supersede(tx, row.id, by);
    }
    let attempts = row.attempts.max(finished.number);
    let in_run = row.attempts_in_run.max(1);
    if !state.is_final() && is_erased(tx, row)? {
        return end(tx, row.id, DeliveryState::Erased, Some(Reason::SubjectErased));
    }
    if row.run != Run::Test {
        tally.moved(endpoint.id, state);
    }
    // An endpoint stopped while the attempt was open: what is left of the delivery follows it.
    let stop = (!state.is_final()).then(|| stopped(endpoint, row.standing)).flatten();
    tx.sql(
        "UPDATE deliveries SET state = ?, lease = NULL, due_at = ?, reason = ?, attempts = ?, attempts_in_run = ? \
         WHERE delivery = ?",
    )
    .execute(params![
        state.as_str(),
        due_at.map(Timestamp::as_millis),
        reason.map(Reason::as_str),
        attempts,
        in_run,
        row.id.key(),
    ])?;
    if let Some(stop) = stop {
        return stop_row(tx, row.id, stop);
    }
    if state.is_final()
        && let (Source::Lane, Some(subject)) = (endpoint.rules.source, row.subject)
    {
        lanes::ended(tx, endpoint.id, subject, row.id)?;
    }
    Ok(())
}

fn seal_answer(
    tx: &mut Tx<'_>,
    row: &DeliveryRow,
    finished: &FinishedAttempt,
) -> StorageResult<Option<Vec<u8>>> {
    let Some(answer) = &finished.answer else { return Ok(None) };
    let Some(keys) = unless_destroyed(tx.keys(row.organization))? else { return Ok(None) };
    let place = Place { table: "attempts", column: "answer", row: row.id.key() };
    Ok(match row.subject {
        Some(subject) => {
            people::key_of(tx.connection(), &keys, subject)?.map(|key| key.seal(&place, answer))
        }
        // An answer may repeat what was sent. Where that was about several people, there is no one key whose loss would
        // take the answer along.
        None if is_batch(tx, row.event)? => None,
        None => Some(keys.key.seal(&place, answer)),
    })
}

fn is_batch(tx: &Tx<'_>, event: EventId) -> StorageResult<bool> {
    tx.sql("SELECT 1 FROM events WHERE event = ? AND batch IS NOT NULL").exists([event.key()])
}

/// Writes an attempt's end over its opening. One reported twice, because the first answer was lost, stays as it was.
fn insert_attempt(
    tx: &Tx<'_>,
    finished: &FinishedAttempt,
    trigger: &str,
    answer: Option<&[u8]>,
    late: bool,
) -> StorageResult<()> {
    tx.sql(
        "INSERT INTO attempts (delivery, number, lease, started_at, signed_at, duration_millis, ending, \
         trigger, token, body_sha256, body_length, object_version, endpoint_version, status, error, answer, late) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (delivery, number, lease) DO UPDATE SET started_at = excluded.started_at, \
         signed_at = excluded.signed_at, duration_millis = excluded.duration_millis, ending = excluded.ending, \
         token = excluded.token, body_sha256 = excluded.body_sha256, \
         body_length = excluded.body_length, object_version = excluded.object_version, \
         endpoint_version = excluded.endpoint_version, status = excluded.status, error = excluded.error, \
         answer = excluded.answer, late = excluded.late WHERE attempts.duration_millis IS NULL",
    )
    .later(finished.delivery.key(), params![
        finished.delivery.key(),
        finished.number,
        finished.lease.key(),
        finished.started_at.as_millis(),
        finished.signed_at.as_millis(),
        finished.duration_millis,
        finished.ending.as_str(),
        trigger,
        finished.token,
        finished.body_sha256,
        finished.body_length,
        finished.object_version as i64,
        finished.endpoint_version,
        finished.status,
        finished.error.map(ErrorClass::as_str),
        answer,
        late,
    ])
}
