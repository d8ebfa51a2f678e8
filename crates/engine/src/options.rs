//! The engine's bounds and rhythms, in one place.

use std::time::Duration;

/// Bounds and rhythms of the engine. The defaults are what is measured and recommended; tests shorten some.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of bodies and answers held in memory at one time (I9).
    pub queue_bytes: u32,
    /// Deliveries held in memory at one time, waiting or under way (I9).
    pub queue_deliveries: usize,
    /// Deliveries that wait in memory for one endpoint which has answered well.
    pub endpoint_queue: usize,
    /// The same for an endpoint that has not answered yet, and for every one while memory is more than half full.
    pub endpoint_queue_unproven: usize,
    /// The same for an endpoint whose last attempt failed.
    pub endpoint_queue_suspect: usize,
    /// Attempts under way at one time to endpoints that are healthy or unknown.
    pub healthy_permits: usize,
    /// Attempts under way at one time to endpoints whose last attempt failed.
    pub suspect_permits: usize,
    /// How long an idle connection is kept.
    pub idle_connection: Duration,
    /// How long an endpoint without work is remembered.
    pub idle_endpoint: Duration,
    /// How often this node confirms that it lives.
    pub heartbeat_every: Duration,
    /// How often leases of dead nodes are looked for.
    pub take_over_every: Duration,
    /// No send starts when the last confirmed heartbeat began longer ago.
    pub heartbeat_valid: Duration,
    /// How often work is taken under a new lease.
    pub lease_every: Duration,
    /// No send starts when its `open_attempt` began longer ago.
    pub opened_valid: Duration,
    /// The longest deadline that an endpoint's owner may set in place of the dialect's.
    pub longest_own_deadline: Duration,
    /// While deliveries wait, no worker may stand still for so much longer than the longest attempt takes.
    pub worker_slack: Duration,
    /// How often changes of endpoints and erasures are looked for when no doorbell rings.
    pub look_every: Duration,
    /// No send starts when the last such look began longer ago.
    pub look_valid: Duration,
    /// How often due work is looked for when no doorbell rings and none is known to fall due.
    pub due_every: Duration,
    /// The least time between two looks at due work that find nothing, however often the doorbell rings.
    pub due_pause: Duration,
    /// How often endpoints with parked deliveries are looked for, beside those this node knows of.
    pub parked_every: Duration,
    /// Rows per page: due, parked, held, changed, erased.
    pub page: u32,
    /// Rows per page when a lost lease is worked off.
    pub lose_page: u32,
    /// Attempts recorded in one transaction, at most.
    pub report_batch: usize,
    /// When so many outcomes wait to be recorded, no attempt starts.
    pub report_backlog: usize,
    /// How often housekeeping runs: permissions whose time has come.
    pub housekeeping_every: Duration,
    /// How often jobs over many deliveries are looked for and go on.
    pub jobs_every: Duration,
    /// How often deliveries that were held for too long are looked for.
    pub discard_every: Duration,
    /// How often is looked which endpoints fail for long.
    pub judge_every: Duration,
    /// How often old counts are folded into days.
    pub fold_every: Duration,
    /// How often waiting deliveries are counted.
    pub backlog_every: Duration,
    /// Up to how many are counted.
    pub backlog_count: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_bytes: 64 * 1024 * 1024,
            queue_deliveries: 100_000,
            endpoint_queue: 8_192,
            endpoint_queue_unproven: 1_024,
            endpoint_queue_suspect: 64,
            healthy_permits: 2_048,
            suspect_permits: 128,
            idle_connection: Duration::from_secs(30),
            idle_endpoint: Duration::from_mins(10),
            heartbeat_every: Duration::from_secs(2),
            take_over_every: Duration::from_millis(500),
            heartbeat_valid: Duration::from_secs(7),
            lease_every: Duration::from_mins(1),
            opened_valid: Duration::from_secs(2),
            longest_own_deadline: Duration::from_secs(30),
            worker_slack: Duration::from_secs(15),
            look_every: Duration::from_millis(500),
            look_valid: Duration::from_secs(2),
            due_every: Duration::from_secs(1),
            due_pause: Duration::from_millis(20),
            parked_every: Duration::from_secs(10),
            page: 500,
            lose_page: 1_000,
            report_batch: 512,
            report_backlog: 10_000,
            housekeeping_every: Duration::from_secs(1),
            jobs_every: Duration::from_millis(500),
            discard_every: Duration::from_mins(1),
            judge_every: Duration::from_mins(1),
            fold_every: Duration::from_hours(1),
            backlog_every: Duration::from_secs(5),
            backlog_count: 100_000,
        }
    }
}
