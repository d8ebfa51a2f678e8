//! The whole system on a simulated clock and a faulty network, in processes that die.
//!
//! A run is made of a seed alone: it gives a [`Plan`], a schedule of decisions, answers, stops, erasures, retries, deaths
//! and clocks that are set, and everything that is left to chance. The real engine works it off on the real store, in
//! memory, in one thread whose time passes only when nothing is left to do. After every commit and at every request the
//! judge holds the rows and the receivers' tables against the invariants. The same seed gives the same run, to the letter.
//!
//! - a **plan** is what happens; a **step** of it can be left out, which is how failures are made small;
//! - the **world** carries it out, in a **process** at a time;
//! - the **network** and the **receivers** deal with requests as they were told to;
//! - the **post** lets reports of the dead arrive late;
//! - the **judge** knows what must be true, from its own look at the **rows**.
//!
//! Beside that, **several** nodes on one database, with the same judge, network and receivers: in memory, on the simulated clock
//! as well, and on PostgreSQL, in real time. There seeds fix what is asked for, and not how it comes.
//!
//! What is simulated and what is not stands in `docs/reliability.md`.

mod chance;
mod clock;
mod judge;
mod network;
mod plan;
mod post;
mod process;
mod receivers;
mod rows;
mod several;
mod shrink;
mod speech;
mod stage;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

pub use judge::Broken;
pub use plan::{Deed, Does, Manner, Plan, Point, Step};
pub use several::{
    Commits, Cut, NODES_AT_ONCE, NodesDeed, NodesPlan, NodesStep, run_nodes, run_nodes_in_memory,
    run_nodes_of,
};
pub use shrink::{Repeats, shrink};
pub use speech::{SPEECHES, Speech};
pub use world::Course;

/// Runs a plan. An error is a fault of the simulation itself.
pub fn run(plan: &Plan) -> anyhow::Result<Course> {
    LocalSet::new().block_on(&simulated()?, world::live(plan, new_database()))
}

/// A runtime of one thread whose time passes when nothing is left to do.
fn simulated() -> anyhow::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.context("no runtime")
}

/// The name of a database in memory that is nobody's yet.
fn new_database() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    format!("simulation-{}", RUNS.fetch_add(1, Ordering::Relaxed))
}
