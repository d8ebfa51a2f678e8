//! Several nodes on one database: the same judge, receivers and network, another world.
//!
//! On PostgreSQL, in real time: each node is a real engine on the real store, on a thread of its own, behind a [`wire`] of its
//! own that cuts connections right before and right after a COMMIT. A node can stand still, thread and wire, for longer than its
//! lease. What a plan fixes is what is asked for, in which order and how far apart; threads, the server and the machine do the
//! rest.
//!
//! In [`memory`], on the simulated clock: the same engines and statements, one transaction at a time. The same plan always runs
//! the same way, so that what fails can be made small.

mod callers;
mod database;
mod ground;
mod memory;
mod node;
mod orders;
mod plan;
mod wire;
mod world;

use std::ops::Range;
use std::thread;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

pub use orders::{Commits, Cut};
pub use plan::{NodesDeed, NodesPlan, NodesStep};

use self::database::Database;
use self::memory::Memory;
use crate::chance::Dice;
use crate::world::Course;
use crate::{new_database, simulated};

/// Runs at once that take not much longer than one: most of it is waiting.
pub const NODES_AT_ONCE: u64 = 4;

/// Runs the plans of some seeds at once.
pub fn run_nodes_of(seeds: Range<u64>, server: &str) -> anyhow::Result<Vec<(u64, Course)>> {
    thread::scope(|scope| {
        let run = |seed| (seed, scope.spawn(move || run_nodes(&NodesPlan::of(seed), server)));
        let runs: Vec<_> = seeds.map(run).collect();
        let ended = runs.into_iter().map(|(seed, run)| {
            let course = run.join().map_err(|_| anyhow::anyhow!("seed {seed} panicked"))?;
            Ok((seed, course.with_context(|| format!("seed {seed}"))?))
        });
        ended.collect()
    })
}

/// Runs a plan on a database of its own on a server, named as `postgres://user:password@host:port`. An error is a fault of the
/// simulation itself, or of the server.
pub fn run_nodes(plan: &NodesPlan, server: &str) -> anyhow::Result<Course> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("no runtime")?;
    let course = runtime.block_on(async {
        let database = Database::new(server, &mut Dice::new(plan.seed, 6)).await?;
        let course = world::live(plan, &database).await;
        database.remove().await?;
        course
    });
    runtime.shutdown_background();
    course
}

/// Runs a plan on a database in memory, on the simulated clock. An error is a fault of the simulation itself.
pub fn run_nodes_in_memory(plan: &NodesPlan) -> anyhow::Result<Course> {
    let memory = Memory::new(new_database());
    LocalSet::new().block_on(&simulated()?, world::live(plan, &memory))
}
