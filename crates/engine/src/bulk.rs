//! Work over many deliveries that somebody asked for: its pages, at its rate, for as long as it runs. What a job has done
//! stands in the store with how far it has come, so a restart goes on where it was. Of several nodes the one that does the
//! chores works them all.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abide_core::delivery::Run;
use abide_core::ids::JobId;
use abide_storage::StorageResult;
use abide_storage::jobs::Page;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::hub::Hub;
use crate::pulse::Loop;

/// Jobs that are looked for at a time.
const JOBS: u32 = 100;
/// Pages of one job before the next one has its turn.
const PAGES_PER_TURN: u32 = 10;
/// After each page all jobs rest for so many times as long as it took, so that they have at most a quarter of the store's
/// writer, and less where others write much, since then a page takes longer.
const REST: u32 = 3;

/// Works all jobs in turn, for ever.
pub(crate) async fn work(hub: Arc<Hub>) {
    let with_series = hub.dialects.iter().filter(|dialect| dialect.by_hand() == Run::Series);
    let series: Arc<[&'static str]> = with_series.map(|dialect| dialect.name()).collect();
    let mut tick = interval(hub.options.jobs_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        hub.pulse.ticked(Loop::Jobs);
        if !hub.chores.load(Ordering::Relaxed) {
            continue;
        }
        if let Err(why) = work_all(&hub, &series).await {
            tracing::warn!(%why, "jobs could not be worked");
        }
    }
}

async fn work_all(hub: &Hub, series: &Arc<[&'static str]>) -> StorageResult<()> {
    let jobs = hub.storage.jobs();
    let mut after = JobId::from_key(0);
    loop {
        let page = jobs.running(after, JOBS).await?;
        for job in &page {
            for _ in 0..PAGES_PER_TURN {
                if hub.is_draining() {
                    return Ok(());
                }
                hub.pulse.ticked(Loop::Jobs);
                let began = Instant::now();
                match jobs.work(*job, Arc::clone(series), hub.clock.now()).await {
                    Ok(Page::More) => rest(began).await,
                    Ok(Page::Paced | Page::Suspended) => break,
                    Ok(Page::Ended) => {
                        rest(began).await;
                        break;
                    }
                    // One job's trouble holds up no other.
                    Err(why) => {
                        tracing::warn!(%job, %why, "a page of a job could not be worked");
                        break;
                    }
                }
            }
        }
        match page.last() {
            Some(last) if page.len() as u32 == JOBS => after = *last,
            _ => return Ok(()),
        }
    }
}

async fn rest(began: Instant) {
    sleep(began.elapsed() * REST).await;
}
