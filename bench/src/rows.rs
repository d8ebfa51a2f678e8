//! The rows of the table, each a measurement of its own with fresh processes and a fresh folder.

mod full;
mod hanging;
mod nodes;
mod restart;
mod retention;
mod steady;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use self::steady::{Content, Keeper, Stand, Way};
use crate::figures::median;
use crate::postgres::Database;
use crate::server::Folder;

/// What every measurement needs to know.
pub(crate) struct Stage {
    /// The `abide` program.
    pub(crate) binary: PathBuf,
    /// Where data folders are made.
    pub(crate) folder: PathBuf,
    /// The PostgreSQL server.
    pub(crate) postgres: Option<String>,
    /// How long a rate is measured.
    pub(crate) window: Duration,
    /// Stores with ten million rows, made once in a run and copied.
    pub(crate) full: Full,
}

/// One per database.
#[derive(Default)]
pub(crate) struct Full {
    sqlite: OnceCell<Folder>,
    postgres: OnceCell<Folder>,
}

impl Stage {
    /// An empty database.
    fn database(&self) -> anyhow::Result<Arc<Database>> {
        Database::new(self.postgres.as_deref().context(
            "this row needs a PostgreSQL server: run it by `cargo xtask bench`, or name one with --postgres",
        )?)
    }
}

/// One measured figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Per second: deliveries, consents, or requests.
    Rate,
    /// Own CPU time of the measured process per operation, in microseconds.
    Cpu,
    /// Calls accepted per second.
    Accepted,
    /// Delivered within the window, of what was accepted within it.
    Balance,
    /// The rate, of that of the row's limit right before or after.
    Share,
    /// Milliseconds from sending to arrival.
    P50,
    P99,
    Max,
    /// Milliseconds per commit.
    CommitP99,
    /// Milliseconds per 4 KiB written and synced.
    SyncP99,
    /// The most memory, in MB.
    Memory,
    /// Deliveries due that never came.
    Missing,
    /// Seconds from the start of the process to the first healthy delivery.
    First,
    /// Events that came to an endpoint twice, or deliveries with two attempts that arrived, whichever are more.
    Twice,
    /// Seconds from the end of a dead node's lease until another node holds it.
    Owned,
    /// And until that has sent something of it.
    Sent,
    /// Milliseconds, as [`Figure::P99`], without what the row is about.
    P99Without,
    /// Events per second that went by their retention.
    Removed,
}

/// What one measurement gave.
pub(crate) type Sample = BTreeMap<Figure, f64>;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    Floor,
    Raw,
    TwoHop,
    TwoHopFive,
    Known,
    NewTen,
    New,
    FanOutFive,
    Batch,
    Tls,
    SlowDisk,
    Full,
    PgKnown,
    PgFull,
    TwoHopDelay,
    Delay,
    AllHealthy,
    HalfHang,
    Restart,
    Retention,
    PgRetention,
    PgTwoNodes,
    Takeover,
}

impl Row {
    pub(crate) const ALL: [Self; 23] = [
        Self::Floor,
        Self::Raw,
        Self::TwoHop,
        Self::TwoHopFive,
        Self::Known,
        Self::NewTen,
        Self::New,
        Self::FanOutFive,
        Self::Batch,
        Self::Tls,
        Self::SlowDisk,
        Self::Full,
        Self::PgKnown,
        Self::PgFull,
        Self::TwoHopDelay,
        Self::Delay,
        Self::AllHealthy,
        Self::HalfHang,
        Self::Restart,
        Self::Retention,
        Self::PgRetention,
        Self::PgTwoNodes,
        Self::Takeover,
    ];

    /// What `--only` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Raw => "raw",
            Self::TwoHop => "two-hop",
            Self::TwoHopFive => "two-hop-5",
            Self::Known => "known",
            Self::NewTen => "new-10",
            Self::New => "new",
            Self::FanOutFive => "fan-out-5",
            Self::Batch => "batch",
            Self::Tls => "tls",
            Self::SlowDisk => "slow-disk",
            Self::Full => "full",
            Self::PgKnown => "pg-known",
            Self::PgFull => "pg-full",
            Self::TwoHopDelay => "two-hop-delay",
            Self::Delay => "delay",
            Self::AllHealthy => "all-healthy",
            Self::HalfHang => "half-hang",
            Self::Restart => "restart",
            Self::Retention => "retention",
            Self::PgRetention => "pg-retention",
            Self::PgTwoNodes => "pg-two-nodes",
            Self::Takeover => "takeover",
        }
    }

    /// What it is, in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Floor => "hand-written client to sink, HMAC",
            Self::Raw => "raw client to sink, HMAC",
            Self::TwoHop => "two-hop limit, fan-out 1",
            Self::TwoHopFive => "two-hop limit, fan-out 5",
            Self::Known => "Abide, known subjects",
            Self::NewTen => "Abide, 10 % new subjects",
            Self::New => "Abide, all new subjects",
            Self::FanOutFive => "Abide, fan-out 5",
            Self::Batch => "Abide, batches of 100 new subjects (consents/s)",
            Self::Tls => "Abide, over TLS",
            Self::SlowDisk => "Abide, 3 ms added to each commit",
            Self::Full => "Abide, 10 million rows, 1 million pending",
            Self::PgKnown => "Abide over PostgreSQL, known subjects",
            Self::PgFull => "Abide over PostgreSQL, 10 million rows, 1 million pending",
            Self::TwoHopDelay => "two hops at 500/s",
            Self::Delay => "Abide at 500/s",
            Self::AllHealthy => "Abide, 1,000 endpoints",
            Self::HalfHang => "Abide, 1,000 endpoints, 500 hang",
            Self::Restart => "Abide, restart with 1,000,000 pending",
            Self::Retention => "Abide, 10 million rows, while retention removes",
            Self::PgRetention => "Abide over PostgreSQL, the same",
            Self::PgTwoNodes => "two nodes over PostgreSQL, 50,000 due",
            Self::Takeover => "two nodes, one killed with 100,000 hot",
        }
    }

    /// The row whose rate limits this one's.
    pub(crate) fn limit(self) -> Option<Self> {
        match self {
            Self::TwoHop | Self::TwoHopFive => Some(Self::Raw),
            Self::Known | Self::NewTen | Self::New | Self::Tls | Self::SlowDisk | Self::PgKnown => {
                Some(Self::TwoHop)
            }
            Self::Full => Some(Self::Known),
            Self::PgFull => Some(Self::PgKnown),
            Self::FanOutFive => Some(Self::TwoHopFive),
            _ => None,
        }
    }

    /// Makes the row ready to be measured in slices; `None` where it is measured as a whole.
    pub(crate) fn stand(self, stage: &Stage) -> anyhow::Result<Option<Stand>> {
        let abide = |way| steady::abide(stage, &way);
        let usual = Way::default;
        let over_postgres = || Way { keeper: Keeper::Postgres, ..usual() };
        let stand = match self {
            Self::Floor => steady::floor(),
            Self::Raw => steady::raw(),
            Self::TwoHop => steady::two_hop(1),
            Self::TwoHopFive => steady::two_hop(5),
            Self::Known => abide(usual()),
            Self::NewTen => abide(Way { new_percent: 10, ..usual() }),
            Self::New => abide(Way { new_percent: 100, ..usual() }),
            Self::FanOutFive => abide(Way { fan_out: 5, ..usual() }),
            // New subjects: what a batch creates is told in one event, what it changes in one each.
            Self::Batch => abide(Way { batch: 100, new_percent: 100, ..usual() }),
            Self::Tls => abide(Way { tls: true, ..usual() }),
            Self::SlowDisk => abide(Way { commit_delay: 3, ..usual() }),
            Self::Full => abide(Way { content: Content::TenMillion, ..usual() }),
            Self::PgKnown => abide(over_postgres()),
            Self::PgFull => abide(Way { content: Content::TenMillion, ..over_postgres() }),
            Self::TwoHopDelay
            | Self::Delay
            | Self::AllHealthy
            | Self::HalfHang
            | Self::Restart
            | Self::Retention
            | Self::PgRetention
            | Self::PgTwoNodes
            | Self::Takeover => return Ok(None),
        };
        stand.map(Some)
    }

    /// Measures it as a whole, once; a rate has nothing but slices.
    pub(crate) fn measure(self, stage: &Stage) -> anyhow::Result<Option<Sample>> {
        let sample = match self {
            Self::TwoHopDelay => steady::two_hop_delay(stage),
            Self::Delay => steady::delay(stage),
            Self::AllHealthy => hanging::measure(stage, false),
            Self::HalfHang => hanging::measure(stage, true),
            Self::Restart => restart::measure(stage),
            Self::Retention => retention::measure(stage, Keeper::Sqlite),
            Self::PgRetention => retention::measure(stage, Keeper::Postgres),
            Self::PgTwoNodes => nodes::at_work(stage),
            Self::Takeover => nodes::takeover(stage),
            _ => return Ok(None),
        };
        sample.map(Some)
    }
}

/// Measures the rates among some rows in turns, slice after slice: a machine that slows down for seconds slows a row and
/// its limit alike. One list of samples per slice.
pub(crate) fn in_turns(
    rows: &[Row],
    stage: &Stage,
    mut each: impl FnMut(Row, Sample),
) -> anyhow::Result<()> {
    let mut stands = Vec::new();
    for row in rows {
        let stand = row.stand(stage).with_context(|| format!("row {}", row.name()))?;
        stands.extend(stand.map(|stand| (*row, stand)));
    }
    for _ in 0..stage.window.as_secs() {
        let mut slices = BTreeMap::new();
        for (row, stand) in &mut stands {
            let sample = stand.slice().with_context(|| format!("row {}", row.name()))?;
            slices.insert(*row, sample);
        }
        for (row, sample) in with_shares(slices) {
            each(row, sample);
        }
    }
    Ok(())
}

/// Adds to each sample what share its rate is of its limit's.
fn with_shares(mut slices: BTreeMap<Row, Sample>) -> BTreeMap<Row, Sample> {
    let rates: BTreeMap<Row, f64> =
        slices.iter().map(|(row, sample)| (*row, sample[&Figure::Rate])).collect();
    for (row, sample) in &mut slices {
        if let Some(limit) = row.limit().and_then(|limit| rates.get(&limit)) {
            sample.insert(Figure::Share, rates[row] / limit);
        }
    }
    slices
}

/// The medians of several samples, figure by figure.
pub(crate) fn medians(samples: &[Sample]) -> Sample {
    let mut values: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
    for (figure, value) in samples.iter().flatten() {
        values.entry(*figure).or_default().push(*value);
    }
    values.into_iter().map(|(figure, values)| (figure, median(values))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_taken_of_the_limit_in_the_same_slice() {
        let rate = |value| Sample::from([(Figure::Rate, value)]);
        let slices =
            [(Row::Raw, 100.0), (Row::TwoHop, 50.0), (Row::Known, 15.0), (Row::Batch, 7.0)];
        let slices = slices.into_iter().map(|(row, value)| (row, rate(value))).collect();
        let shares: Vec<_> = with_shares(slices)
            .into_iter()
            .filter_map(|(row, sample)| Some((row, *sample.get(&Figure::Share)?)))
            .collect();
        assert_eq!(shares, [(Row::TwoHop, 0.5), (Row::Known, 0.3)]);
    }
}
