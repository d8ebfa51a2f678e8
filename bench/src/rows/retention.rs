//! What it costs to remove what is old while decisions are taken and delivered: the same store in turns, without a rule and
//! with one by which most of ten million rows are to go.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::steady::{Keeper, abide_on};
use super::{Figure, Sample, Stage, full, medians};
use crate::server::Folder;

/// After a start: caches are filled, and housekeeping has begun.
const WARM_UP: Duration = Duration::from_secs(3);
const FOR_EVER: &str = "UPDATE retention SET deliveries_days = NULL, events_days = NULL";
const MONTHS: &str = "INSERT INTO retention (organization, deliveries_days, events_days) \
                      SELECT organization, 30, 30 FROM organizations WHERE true \
                      ON CONFLICT (organization) DO UPDATE SET deliveries_days = 30, events_days = 30";
const REMOVED: &str = "SELECT coalesce(max(events_removed_through), 0) FROM retention";

pub(super) fn measure(stage: &Stage, keeper: Keeper) -> anyhow::Result<Sample> {
    let folder = Rc::new(full::folder(stage, keeper)?);
    let mut pairs = Vec::new();
    for _ in 0..stage.window.as_secs() {
        full::run(&folder, FOR_EVER)?;
        let without = turn(stage, &folder)?;
        full::run(&folder, MONTHS)?;
        let removed = full::number(&folder, REMOVED)?;
        let began = Instant::now();
        let mut with = turn(stage, &folder)?;
        let seconds = began.elapsed().as_secs_f64();
        let removed = full::number(&folder, REMOVED)?.unwrap_or(0) - removed.unwrap_or(0);
        ensure!(removed > 0, "nothing was removed");
        with.insert(Figure::Removed, removed as f64 / seconds);
        with.insert(Figure::Share, with[&Figure::Rate] / without[&Figure::Rate]);
        with.insert(Figure::P99Without, without[&Figure::P99]);
        pairs.push(with);
    }
    Ok(medians(&pairs))
}

/// A server, from its start until everything has arrived.
fn turn(stage: &Stage, folder: &Rc<Folder>) -> anyhow::Result<Sample> {
    let mut stand = abide_on(stage, folder, WARM_UP)?;
    let sample = stand.slice()?;
    full::settled(folder)?;
    Ok(sample)
}
