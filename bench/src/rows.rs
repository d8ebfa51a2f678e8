//! The rows of the table, each a measurement of its own with fresh processes and a fresh folder.

mod hanging;
mod restart;
mod steady;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::figures::median;

/// What every measurement needs to know.
pub(crate) struct Stage {
    /// The `abide` program.
    pub(crate) binary: PathBuf,
    /// Where data folders are made.
    pub(crate) folder: PathBuf,
    /// How long a rate is measured.
    pub(crate) window: Duration,
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
    TwoHopDelay,
    Delay,
    AllHealthy,
    HalfHang,
    Restart,
}

impl Row {
    pub(crate) const ALL: [Self; 16] = [
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
        Self::TwoHopDelay,
        Self::Delay,
        Self::AllHealthy,
        Self::HalfHang,
        Self::Restart,
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
            Self::TwoHopDelay => "two-hop-delay",
            Self::Delay => "delay",
            Self::AllHealthy => "all-healthy",
            Self::HalfHang => "half-hang",
            Self::Restart => "restart",
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
            Self::TwoHopDelay => "two hops at 500/s",
            Self::Delay => "Abide at 500/s",
            Self::AllHealthy => "Abide, 1,000 endpoints",
            Self::HalfHang => "Abide, 1,000 endpoints, 500 hang",
            Self::Restart => "Abide, restart with 1,000,000 pending",
        }
    }

    /// Measures it once.
    pub(crate) fn measure(self, stage: &Stage) -> anyhow::Result<Sample> {
        match self {
            Self::Floor => steady::floor(stage),
            Self::Raw => steady::raw(stage),
            Self::TwoHop => steady::two_hop(stage, 1),
            Self::TwoHopFive => steady::two_hop(stage, 5),
            Self::Known => steady::abide(stage, &steady::Way::default()),
            Self::NewTen => {
                steady::abide(stage, &steady::Way { new_percent: 10, ..Default::default() })
            }
            Self::New => {
                steady::abide(stage, &steady::Way { new_percent: 100, ..Default::default() })
            }
            Self::FanOutFive => {
                steady::abide(stage, &steady::Way { fan_out: 5, ..Default::default() })
            }
            // New subjects: what a batch creates is told in one event, what it changes in one each.
            Self::Batch => steady::abide(
                stage,
                &steady::Way { batch: 100, new_percent: 100, ..Default::default() },
            ),
            Self::Tls => steady::abide(stage, &steady::Way { tls: true, ..Default::default() }),
            Self::SlowDisk => {
                steady::abide(stage, &steady::Way { commit_delay: 3, ..Default::default() })
            }
            Self::TwoHopDelay => steady::two_hop_delay(stage),
            Self::Delay => steady::delay(stage),
            Self::AllHealthy => hanging::measure(stage, false),
            Self::HalfHang => hanging::measure(stage, true),
            Self::Restart => restart::measure(stage),
        }
    }
}

/// The medians of several samples, figure by figure.
pub(crate) fn medians(samples: &[Sample]) -> Sample {
    let mut values: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
    for (figure, value) in samples.iter().flatten() {
        values.entry(*figure).or_default().push(*value);
    }
    values.into_iter().map(|(figure, values)| (figure, median(values))).collect()
}
