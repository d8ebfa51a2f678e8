//! What is said of deliveries.

use abide_core::delivery::{Reason, Run};
use abide_core::event::EventKind;
use abide_core::ids::{Delivery, Endpoint, Event, Job};
use abide_storage::deliveries::{AttemptTrigger, Ending};

use super::state_names;
use crate::api::abide::describe::{
    Field, Schema, count, field, flag, id, list, named, object, one_of, or_null, text, time,
};

/// A delivery in a list.
pub(super) fn schema() -> Schema {
    let mut fields = head();
    fields.push(field("last_attempt", or_null(attempt()), "The newest attempt."));
    named("Delivery", object(fields))
}

/// A delivery with all that happened to it.
pub(super) fn whole_schema() -> Schema {
    let mut fields = head();
    fields.extend([
        field("runs", list(run()), "Its runs, oldest first; the first came with the event."),
        field("attempts", list(attempt()), "Its attempts, oldest first."),
        field("discarded", or_null(asked()), "Who gave it up, where somebody did."),
    ]);
    named("WholeDelivery", object(fields))
}

fn head() -> Vec<Field> {
    vec![
        field("id", id::<Delivery>(), "Its id."),
        field("event_id", id::<Event>(), "The event it tells; the same in every attempt."),
        field("event_type", one_of(EventKind::ALL.map(EventKind::as_str)), "The event's type."),
        field("endpoint_id", id::<Endpoint>(), "Where it goes."),
        field("state", one_of(state_names()), "Where it stands."),
        field(
            "reason",
            or_null(one_of(Reason::ALL.map(Reason::as_str))),
            "Why it waits for somebody, or ended otherwise than delivered.",
        ),
        field(
            "superseded_by",
            or_null(id::<Delivery>()),
            "The delivery that carries the newer state instead.",
        ),
        field("created_at", time(), "When it was made."),
        field("next_attempt_at", or_null(time()), "When the next attempt is due."),
        field("attempt_count", count(), "Attempts over all runs."),
    ]
}

fn run() -> Schema {
    let fields = vec![
        field("number", count(), "Its number, from 1."),
        field(
            "kind",
            one_of(Run::ALL.map(Run::as_str)),
            "`first` came with the event; `single` is one attempt, `series` a whole schedule; `test` is a test.",
        ),
        field("asked", or_null(asked()), "Who asked for it."),
    ];
    named("DeliveryRun", object(fields))
}

fn asked() -> Schema {
    let fields = vec![
        field("at", time(), "When."),
        field("by", text(), "Who: a key's id, `operator` or `system`."),
        field("job_id", or_null(id::<Job>()), "The job that did it for them."),
    ];
    named("Asked", object(fields))
}

fn attempt() -> Schema {
    let whole = or_null(count());
    let fields = vec![
        field("number", count(), "Its number over all runs, from 1."),
        field("run", count(), "The number of its run."),
        field(
            "trigger",
            one_of(AttemptTrigger::ALL.map(AttemptTrigger::as_str)),
            "`manual`: the first attempt of a run that somebody asked for.",
        ),
        field("started_at", time(), "When it began."),
        field("duration_ms", whole.clone(), "How long it took; null while it is open."),
        field("signed_at", or_null(time()), "The time that was signed."),
        field(
            "ending",
            or_null(one_of(Ending::ALL.map(Ending::as_str))),
            "`answered`; `not_sent`: certainly never arrived; `unknown`: may have arrived. Null while it is open or lost.",
        ),
        field("response_code", whole.clone(), "The HTTP status of the answer."),
        field(
            "response_body",
            or_null(text()),
            "The start of the answer, at most 1 KiB, kept where it was not delivered and the person is not erased.",
        ),
        field("error", or_null(text()), "The class of error: `timeout`, `dns`, `tls` and others."),
        field("body_sha256", or_null(text()), "SHA-256 of the body that was sent, in hex."),
        field("body_length", whole.clone(), "Its length in bytes."),
        field("endpoint_version", whole, "The version of the endpoint that was used."),
        field("late", flag(), "Recorded after the delivery had moved on: it changed nothing."),
    ];
    named("Attempt", object(fields))
}
