//! Opening an attempt: everything but the first attempt of a snapshot that is still in memory reads what it sends,
//! in one short transaction that ends before the send begins (I4, I6, I7). What is given back from here on was not
//! sent, and its attempt takes no step of the schedule.

use abide_core::endpoint::Source;
use abide_dialects::{Content, Dialect};
use abide_storage::StorageError;
use abide_storage::deliveries::{Fresh, GiveBack, OpenAttempt, Opened as Answered, Opening};
use tokio::time::{Instant, timeout};

use crate::facts::Facts;
use crate::hub::Hub;
use crate::job::{Job, Rendering};
use crate::outbound::Share;
use crate::send::{LATER_MILLIS, SOON_MILLIS, Terms};

/// What came of opening.
pub(crate) enum Opened {
    /// Send this, now.
    Ready(Box<Ready>),
    /// It cannot be sent now.
    Back(GiveBack),
    /// The delivery has moved on and is no longer this node's.
    Moved,
}

/// An opened attempt, rendered.
pub(crate) struct Ready {
    pub(crate) rendering: Rendering,
    pub(crate) terms: Terms,
    _bytes: Share,
}

/// Opens the attempt of a job and renders it.
pub(crate) async fn open(
    hub: &Hub,
    facts: &Facts,
    dialect: &'static dyn Dialect,
    job: &Job,
) -> Opened {
    let before = Instant::now();
    let now = hub.clock.now();
    let longest = hub.options.opened_valid + facts.deadline;
    let wanted = OpenAttempt {
        delivery: job.delivery,
        lease: job.hold.id,
        ends_by: now.plus_millis(longest.as_millis() as i64),
    };
    let opening = match hub.storage.deliveries().open_attempt(wanted, now).await {
        Ok(Answered::Send(opening)) => opening,
        Ok(Answered::Moved(_)) => return Opened::Moved,
        Err(why) => return Opened::Back(after_error(job, &why, hub)),
    };
    let Some(rendering) = render(&opening, dialect) else {
        tracing::error!(delivery = %job.delivery, source = facts.source.as_str(), "nothing to render");
        return Opened::Back(GiveBack::Unreadable);
    };
    // Bodies that were read again draw on the byte budget like those that came with the event (I9).
    let wait = hub.options.opened_valid.saturating_sub(before.elapsed());
    let length = rendering.rendered.body.len();
    let Ok(Ok(bytes)) = timeout(wait, hub.courier.budget().take(length)).await else {
        return Opened::Back(soon(hub));
    };
    if before.elapsed() >= hub.options.opened_valid || !hub.pulse.may_send() {
        return Opened::Back(soon(hub));
    }
    let terms = Terms {
        event: opening.event.id,
        number: opening.number,
        number_in_run: opening.number_in_run,
        run: opening.run,
        signed_at: opening.signed_at,
        object_version: opening.object_version,
        first_sha256: opening.first_sha256.filter(|_| facts.source == Source::Snapshot),
    };
    Opened::Ready(Box::new(Ready { rendering, terms, _bytes: bytes }))
}

fn render(opening: &Opening, dialect: &dyn Dialect) -> Option<Rendering> {
    let event = &opening.event;
    let content = match &opening.fresh {
        Fresh::Snapshot => Content::Event(event),
        Fresh::Latest(consent) => Content::Latest { event, consent },
        Fresh::Subject(state) => Content::Subject(state),
    };
    dialect.applies(event.kind).then(|| Rendering::of(content, dialect))
}

/// Due again in a moment, and not at once: what made this node late may go on.
fn soon(hub: &Hub) -> GiveBack {
    GiveBack::Due(hub.clock.now().plus_millis(SOON_MILLIS))
}

fn after_error(job: &Job, why: &StorageError, hub: &Hub) -> GiveBack {
    tracing::warn!(delivery = %job.delivery, %why, "an attempt could not be opened");
    match why {
        StorageError::Busy => soon(hub),
        StorageError::Unavailable(_) | StorageError::Unknown(_) => {
            GiveBack::Due(hub.clock.now().plus_millis(5_000))
        }
        StorageError::Refused(_) | StorageError::Replayed(_) => {
            GiveBack::Due(hub.clock.now().plus_millis(LATER_MILLIS))
        }
        StorageError::Damaged(_) => GiveBack::Unreadable,
    }
}
