//! Housekeeping by the clock: permissions whose time has come, organizations and blobs whose time to go has come, held
//! rows whose endpoint is back, endpoints that fail for long, gauges, and what nobody has used for a while or wants to keep.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abide_core::once::REMEMBERED_MILLIS;
use abide_storage::StorageResult;
use abide_storage::counts::FOLD_AFTER_MILLIS;
use abide_storage::deletions::CarriedOut;
use abide_storage::jobs::GONE_HELD_MILLIS;
use abide_storage::leases::Chores;
use abide_storage::retention::OldPlace;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::failing;
use crate::hub::Hub;
use crate::pulse::Loop;

/// The longest time between two signs of life of the loop that waits for endpoints to change.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often what is past its time is removed, and how long new deliveries wait at most to be noted for lists.
const CLEAN_EVERY: Duration = Duration::from_mins(1);
/// How often a walk through what is past its time begins.
const RETAIN_EVERY: Duration = Duration::from_hours(1);
/// Endpoints and organizations whose counts are folded in one transaction.
const FOLD_PAGE: u32 = 20;

/// So many new deliveries are noted for lists at once; fewer are once a minute.
const NOTED_AT_LEAST: u32 = 4_096;

/// How many rows of a deleted organization go in one transaction. Each can have several deliveries, and each of those
/// several attempts; those who record decisions wait no longer than that takes.
const ROWS_AT_ONCE: u32 = 50;

/// Blobs that go in one transaction.
const BLOBS_AT_ONCE: u32 = 20;

/// Runs the housekeeping, for ever: at every node what is its own, and at one of them what is done once over all.
pub(crate) async fn tick(hub: Arc<Hub>) {
    let mut tick = interval(hub.options.housekeeping_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut chores: Option<Rhythms> = None;
    let mut counted: Option<Instant> = None;
    loop {
        tick.tick().await;
        hub.pulse.ticked(Loop::Clockwork);
        match whose_chores(&hub).await {
            Chores::Ours => do_chores(&hub, chores.get_or_insert_default()).await,
            Chores::Anothers => chores = None,
        }
        show_memory(&hub);
        if is_time(&mut counted, hub.options.backlog_every) {
            sweep(&hub);
            if let Err(why) = show_backlog(&hub).await {
                tracing::warn!(%why, "waiting deliveries could not be counted");
            }
        }
    }
}

/// Who does the chores in this turn.
async fn whose_chores(hub: &Hub) -> Chores {
    let whose = hub.storage.leases().chores(hub.clock.now()).await.unwrap_or_else(|why| {
        tracing::warn!(%why, "who does the housekeeping cannot be known; it waits");
        Chores::Anothers
    });
    let before = hub.chores.swap(whose == Chores::Ours, Ordering::Relaxed);
    match (before, whose) {
        (false, Chores::Ours) => tracing::debug!("this node does the housekeeping from now on"),
        (true, Chores::Anothers) => tracing::info!("this node does the housekeeping no more"),
        (true, Chores::Ours) | (false, Chores::Anothers) => {}
    }
    whose
}

/// When each chore was done last by this node; a node that takes them begins with all of them.
#[derive(Default)]
struct Rhythms {
    cleaned: Option<Instant>,
    removed: Option<Instant>,
    /// How far a walk through what is past its time has come.
    old: Option<OldPlace>,
    discarded: Option<Instant>,
    folded: Option<Instant>,
    noted: Option<Instant>,
    judged: Option<Instant>,
}

/// What is done once over all nodes.
async fn do_chores(hub: &Hub, last: &mut Rhythms) {
    if let Err(why) = advance(hub).await {
        tracing::warn!(%why, "permissions whose time has come could not be judged");
    }
    if let Err(why) = carry_out_deletions(hub).await {
        tracing::warn!(%why, "organizations whose time has come could not be deleted");
    }
    if let Err(why) = sweep_blobs(hub).await {
        tracing::warn!(%why, "blobs whose time is over could not be removed");
    }
    let at_least = if is_time(&mut last.noted, CLEAN_EVERY) { 1 } else { NOTED_AT_LEAST };
    if let Err(why) = note_new(hub, at_least).await {
        tracing::warn!(%why, "new deliveries could not be noted for lists");
    }
    if is_time(&mut last.cleaned, CLEAN_EVERY) {
        if let Err(why) = forget_calls(hub).await {
            tracing::warn!(%why, "calls that need not be remembered could not be forgotten");
        }
        if let Err(why) = sweep_strays(hub).await {
            tracing::warn!(%why, "files of no blob could not be removed");
        }
    }
    if last.old.is_some() || is_time(&mut last.removed, RETAIN_EVERY) {
        match remove_old(hub, last.old).await {
            Ok(place) => last.old = place,
            Err(why) => {
                last.old = None;
                tracing::warn!(%why, "what is past its time could not be removed");
            }
        }
    }
    if is_time(&mut last.discarded, hub.options.discard_every)
        && let Err(why) = discard_gone(hub).await
    {
        tracing::warn!(%why, "deliveries that were held for too long could not be discarded");
    }
    if is_time(&mut last.judged, hub.options.judge_every)
        && let Err(why) = failing::judge_all(hub).await
    {
        tracing::warn!(%why, "endpoints that fail for long could not be judged");
    }
    if is_time(&mut last.folded, hub.options.fold_every)
        && let Err(why) = fold(hub).await
    {
        tracing::warn!(%why, "old counts could not be folded");
    }
}

/// Whether something that is done so often is to be done now; then the time counts anew.
fn is_time(last: &mut Option<Instant>, every: Duration) -> bool {
    let is_time = last.is_none_or(|at| at.elapsed() >= every);
    if is_time {
        *last = Some(Instant::now());
    }
    is_time
}

/// Lets held rows go on, once at the start and whenever an endpoint changed, for ever.
pub(crate) async fn release(hub: Arc<Hub>) {
    loop {
        if let Err(why) = release_all(&hub).await {
            tracing::warn!(%why, "held deliveries could not be released");
            let _ = timeout(hub.options.due_every, hub.release.notified()).await;
            continue;
        }
        while timeout(LOOK_EVERY, hub.release.notified()).await.is_err() {
            hub.pulse.ticked(Loop::Release);
        }
    }
}

async fn release_all(hub: &Hub) -> StorageResult<()> {
    let page = hub.options.page;
    hub.pulse.ticked(Loop::Release);
    while hub.storage.deliveries().release_held(page, hub.clock.now()).await? > 0 {
        hub.pulse.ticked(Loop::Release);
        hub.due.falls_due(hub.clock.now());
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn advance(hub: &Hub) -> StorageResult<()> {
    let page = hub.options.page;
    while hub.storage.consents().advance_due(hub.clock.now(), page).await? == page {
        hub.pulse.ticked(Loop::Clockwork);
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Deletes what is left of organizations whose time has come, for one turn: what is left goes on in the next, so that
/// everything else here keeps its time.
async fn carry_out_deletions(hub: &Hub) -> StorageResult<()> {
    let began = Instant::now();
    loop {
        let deletions = hub.storage.deletions();
        if deletions.carry_out(ROWS_AT_ONCE, hub.clock.now()).await? == CarriedOut::Nothing {
            return Ok(());
        }
        hub.pulse.ticked(Loop::Clockwork);
        if began.elapsed() >= hub.options.housekeeping_every {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

/// Removes blobs whose time is over, for one turn. After each page it rests three times as long as that took, so that those
/// who record decisions have the disk for the most part to themselves.
async fn sweep_blobs(hub: &Hub) -> StorageResult<()> {
    let began = Instant::now();
    loop {
        let page = Instant::now();
        if hub.storage.blobs().sweep(BLOBS_AT_ONCE, hub.clock.now()).await? == 0 {
            return Ok(());
        }
        hub.pulse.ticked(Loop::Clockwork);
        if began.elapsed() >= hub.options.housekeeping_every || hub.is_draining() {
            return Ok(());
        }
        sleep(page.elapsed().saturating_mul(3).min(hub.options.housekeeping_every)).await;
    }
}

/// Removes files of no blob from one of the folders. Which one follows from the time, so that all have their turn however
/// often a process starts.
async fn sweep_strays(hub: &Hub) -> StorageResult<()> {
    let now = hub.clock.now();
    let turn = now.as_millis().cast_unsigned() / CLEAN_EVERY.as_millis() as u64;
    let removed = hub.storage.blobs().sweep_strays(turn, now).await?;
    if removed > 0 {
        tracing::info!(removed, "removed files of no blob");
    }
    Ok(())
}

/// Notes new deliveries for lists, for one turn: after an upgrade that may be all there are.
async fn note_new(hub: &Hub, at_least: u32) -> StorageResult<()> {
    let began = Instant::now();
    while hub.storage.delivery_log().note_new(at_least).await?.is_some_and(|noted| noted > 0) {
        hub.pulse.ticked(Loop::Clockwork);
        if began.elapsed() >= hub.options.housekeeping_every || hub.is_draining() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Removes what its organization keeps no longer, for a quarter of a turn at most: whoever records decisions is to have the
/// disk for the rest. Answers from where the next turn goes on.
async fn remove_old(hub: &Hub, mut place: Option<OldPlace>) -> StorageResult<Option<OldPlace>> {
    let began = Instant::now();
    loop {
        let retentions = hub.storage.retentions();
        place = retentions.remove_old(place, ROWS_AT_ONCE, hub.clock.now()).await?;
        hub.pulse.ticked(Loop::Clockwork);
        let is_turn_over = began.elapsed() >= hub.options.housekeeping_every / 4;
        if place.is_none() || is_turn_over || hub.is_draining() {
            return Ok(place);
        }
        tokio::task::yield_now().await;
    }
}

async fn forget_calls(hub: &Hub) -> StorageResult<()> {
    let page = hub.options.page;
    let before = hub.clock.now().plus_millis(-REMEMBERED_MILLIS);
    while hub.storage.idempotency().forget_calls(before, page).await? == page {
        hub.pulse.ticked(Loop::Clockwork);
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Gives up what was held for a week for endpoints whose receiver is gone.
async fn discard_gone(hub: &Hub) -> StorageResult<()> {
    let page = hub.options.page;
    loop {
        let now = hub.clock.now();
        let before = now.plus_millis(-GONE_HELD_MILLIS);
        let discarded = hub.storage.jobs().discard_gone(before, page, now).await?;
        if discarded < page || hub.is_draining() {
            return Ok(());
        }
        hub.pulse.ticked(Loop::Clockwork);
        tokio::task::yield_now().await;
    }
}

/// Folds old counts, some owners at a time.
async fn fold(hub: &Hub) -> StorageResult<()> {
    let before = hub.clock.now().plus_millis(-FOLD_AFTER_MILLIS);
    let mut after = 0;
    while let Some(next) = hub.storage.counts().fold(after, FOLD_PAGE, before).await? {
        after = next;
        hub.pulse.ticked(Loop::Clockwork);
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn sweep(hub: &Hub) {
    let now = Instant::now();
    let before = |age| now.checked_sub(age).unwrap_or(now);
    hub.registry.sweep(before(hub.options.idle_connection), before(hub.options.idle_endpoint));
}

fn show_memory(hub: &Hub) {
    let metrics = hub.storage.metrics();
    let budget = hub.courier.budget();
    metrics.queue_bytes.set((budget.total() - budget.free()) as i64);
    metrics.queue_deliveries.set(hub.room.deliveries() as i64);
}

async fn show_backlog(hub: &Hub) -> StorageResult<()> {
    let backlog = hub.storage.deliveries().backlog(hub.options.backlog_count).await?;
    let metrics = hub.storage.metrics();
    metrics
        .backlog
        .set(i64::from(backlog.pending) + i64::from(backlog.parked) + i64::from(backlog.held));
    let age = backlog.oldest_due_at.map_or(0, |at| hub.clock.now().millis_since(at).max(0) / 1000);
    metrics.backlog_age.set(age);
    Ok(())
}
