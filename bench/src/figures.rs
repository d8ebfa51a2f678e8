//! Percentiles, medians, histograms, and what the kernel says of a process.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Delays in microseconds, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delays {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Delays {
    pub(crate) fn of(micros: &mut [u32]) -> Self {
        micros.sort_unstable();
        Self {
            count: micros.len() as u64,
            p50: percentile(micros, 0.5),
            p99: percentile(micros, 0.99),
            max: percentile(micros, 1.0),
        }
    }
}

/// The value below which that share of sorted values lies.
fn percentile(sorted: &[u32], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = (sorted.len() as f64 * share).ceil() as usize;
    f64::from(sorted[at.saturating_sub(1).min(last)])
}

/// The middle one; of two middle ones, their mean.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// A histogram of the metrics text: upper bounds and how many lie at or below each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// Reads one histogram out of the whole text.
    pub(crate) fn read(text: &str, name: &str) -> Self {
        let prefix = format!("{name}_bucket{{le=\"");
        let buckets = text.lines().filter_map(|line| {
            let (bound, rest) = line.strip_prefix(&prefix)?.split_once('"')?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, rest.trim_start_matches('}').trim().parse().ok()?))
        });
        Self(buckets.collect())
    }

    /// What was added since an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let counts = self.0.iter().enumerate();
        let before = |at: usize| earlier.0.get(at).map_or(0.0, |(_, count)| *count);
        Self(counts.map(|(at, (bound, count))| (*bound, count - before(at))).collect())
    }

    /// The percentile, as if values lay evenly between two bounds; beyond the last bound, that bound.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let wanted = self.0.last().map_or(0.0, |(_, all)| all * share);
        let (mut lower, mut below) = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= wanted && count > below {
                if bound.is_infinite() {
                    return lower;
                }
                return lower + (bound - lower) * (wanted - below) / (count - below);
            }
            (lower, below) = (bound, count);
        }
        lower
    }
}

/// Nanoseconds since 1970: two processes of one machine agree on it.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(crate) fn now_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// User and system time that a process has used, in microseconds.
pub(crate) fn cpu_micros(process: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Linux shows these figures in hundredths of a second on every architecture.
    ticks(&text).map(|ticks| ticks as f64 * 10_000.0).context("/proc/.../stat is not as expected")
}

fn ticks(stat: &str) -> Option<u64> {
    // The name in parentheses may hold anything, blanks too.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// The most memory that a process has had at a time, in MB.
pub(crate) fn peak_megabytes(process: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    high_water(&text).map(|kib| kib as f64 * 1024.0 / 1e6).context("no VmHWM in /proc/.../status")
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_medians() {
        let mut micros: Vec<u32> = (1..=1000).rev().collect();
        let delays = Delays::of(&mut micros);
        assert_eq!(delays, Delays { count: 1000, p50: 500.0, p99: 990.0, max: 1000.0 });
        assert_eq!(Delays::of(&mut []), Delays::default());
        assert_eq!(Delays::of(&mut [7]).p99.to_bits(), 7_f64.to_bits());
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0]).to_bits(), 2.5_f64.to_bits());
    }

    #[test]
    fn a_histogram_is_read_subtracted_and_interpolated() {
        let text = "# TYPE abide_commit_seconds histogram\nabide_commit_seconds_sum 1\n\
                    abide_commit_seconds_bucket{le=\"0.001\"} 10\nabide_commit_seconds_bucket{le=\"0.002\"} 110\n\
                    abide_commit_seconds_bucket{le=\"+Inf\"} 111\nabide_other_bucket{le=\"1\"} 9\n";
        let whole = Histogram::read(text, "abide_commit_seconds");
        assert_eq!(whole.0.len(), 3);
        let earlier = Histogram(vec![(0.001, 10.0), (0.002, 10.0), (f64::INFINITY, 10.0)]);
        let since = whole.since(&earlier);
        assert_eq!(since.0, [(0.001, 0.0), (0.002, 100.0), (f64::INFINITY, 101.0)]);
        assert!((since.percentile(0.5) - 0.001_505).abs() < 1e-9);
        assert!((since.percentile(1.0) - 0.002).abs() < 1e-9);
        assert!(Histogram(Vec::new()).percentile(0.99).abs() < 1e-9);
    }

    #[test]
    fn the_kernels_words_are_understood() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 4 0 100 1 2";
        assert_eq!(ticks(stat), Some(281));
        assert_eq!(ticks("42"), None);
        assert_eq!(high_water("VmPeak:\t 9 kB\nVmHWM:\t  2048 kB\n"), Some(2048));
        assert_eq!(high_water("VmPeak:\t 9 kB\n"), None);
        assert!(cpu_micros(std::process::id()).is_ok());
    }
}
