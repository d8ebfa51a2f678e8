//! Counters and histograms of one process. The store, the engine and the server add to them; `/metrics` shows them.
//!
//! No labels but fixed ones: nothing personal, nothing unbounded (I11).

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// What one process measures of itself.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Events committed: what decisions and policy changes led to.
    pub accepted: Counter<u64, AtomicU64>,
    /// Attempts answered as delivered.
    pub delivered: Counter<u64, AtomicU64>,
    /// Deliveries that ended as failed.
    pub failed: Counter<u64, AtomicU64>,
    /// Attempts that failed and are tried again.
    pub retries: Counter<u64, AtomicU64>,
    /// Endpoints stopped because they failed for long.
    pub stopped_endpoints: Counter<u64, AtomicU64>,
    /// Waiting deliveries, as far as counted.
    pub backlog: Gauge<i64, AtomicI64>,
    /// Seconds since the oldest due delivery fell due.
    pub backlog_age: Gauge<i64, AtomicI64>,
    /// Bytes of bodies and answers held in memory.
    pub queue_bytes: Gauge<i64, AtomicI64>,
    /// Deliveries held in memory.
    pub queue_deliveries: Gauge<i64, AtomicI64>,
    /// Calls per commit of the store's writer.
    pub batch_size: Histogram,
    /// Seconds per commit.
    pub commit_seconds: Histogram,
    /// Seconds from an API request's arrival to its answer.
    pub request_seconds: Histogram,
    /// Seconds per attempt.
    pub attempt_seconds: Histogram,
}

const SECONDS: [f64; 14] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0];
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::default(),
            accepted: Counter::default(),
            delivered: Counter::default(),
            failed: Counter::default(),
            retries: Counter::default(),
            stopped_endpoints: Counter::default(),
            backlog: Gauge::default(),
            backlog_age: Gauge::default(),
            queue_bytes: Gauge::default(),
            queue_deliveries: Gauge::default(),
            batch_size: Histogram::new(SIZES),
            commit_seconds: seconds(),
            request_seconds: seconds(),
            attempt_seconds: seconds(),
        };
        let mut registry = Registry::with_prefix("abide");
        registry.register("accepted", "Events committed", metrics.accepted.clone());
        registry.register("delivered", "Attempts delivered", metrics.delivered.clone());
        registry.register("failed", "Deliveries ended as failed", metrics.failed.clone());
        registry.register("retries", "Attempts to be tried again", metrics.retries.clone());
        registry.register(
            "stopped_endpoints",
            "Endpoints stopped because they failed for long",
            metrics.stopped_endpoints.clone(),
        );
        registry.register(
            "backlog",
            "Waiting deliveries, counted to a bound",
            metrics.backlog.clone(),
        );
        registry.register_with_unit(
            "backlog_age",
            "Age of the oldest due delivery",
            Unit::Seconds,
            metrics.backlog_age.clone(),
        );
        registry.register_with_unit(
            "queue",
            "Bodies and answers in memory",
            Unit::Bytes,
            metrics.queue_bytes.clone(),
        );
        registry.register(
            "queue_deliveries",
            "Deliveries in memory",
            metrics.queue_deliveries.clone(),
        );
        registry.register("batch_size", "Calls per commit", metrics.batch_size.clone());
        let histograms = [
            ("commit", "Time per commit", &metrics.commit_seconds),
            ("request", "Time per API request", &metrics.request_seconds),
            ("attempt", "Time per attempt", &metrics.attempt_seconds),
        ];
        for (name, help, histogram) in histograms {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    /// Everything in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_shown() {
        let metrics = Metrics::default();
        metrics.accepted.inc();
        metrics.commit_seconds.observe(0.001);
        let text = metrics.encode();
        assert!(text.contains("abide_accepted_total 1"), "{text}");
        assert!(text.contains("abide_commit_seconds_count 1"), "{text}");
        assert!(text.contains("abide_queue_bytes 0"), "{text}");
    }
}
