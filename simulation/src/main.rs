//! `cargo xtask simulate`: runs seeds, and makes what they find small.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use abide_simulation::{
    Broken, NODES_AT_ONCE, NodesPlan, Plan, Repeats, run_nodes, run_nodes_of, shrink,
};
use anyhow::{Context as _, bail};
use clap::Parser;
use serde::Serialize;

/// Runs the simulation on many seeds.
#[derive(Parser)]
#[command(name = "cargo xtask simulate")]
struct Arguments {
    /// How many seeds to run; 1000 where nothing is said, and 12 with several nodes.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone, and show what happens in it.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Several nodes on one database in memory.
    #[arg(long, conflicts_with = "postgres")]
    nodes: bool,
    /// Several nodes on the PostgreSQL server that ABIDE_TEST_POSTGRES names, in real time.
    #[arg(long)]
    postgres: bool,
    /// Plant this fault in the product.
    #[cfg(feature = "faults")]
    #[arg(long, value_parser = fault_named)]
    fault: Option<abide_core::fault::Fault>,
}

#[cfg(feature = "faults")]
fn fault_named(name: &str) -> Result<abide_core::fault::Fault, String> {
    let found = abide_core::fault::Fault::ALL.iter().find(|fault| fault.as_str() == name);
    found.copied().ok_or_else(|| "there is no such fault".to_owned())
}

/// What was found is told in a line; a backtrace through this file would say nothing more.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(feature = "faults")]
    abide_core::fault::plant(arguments.fault);
    let (from, seeds) = (arguments.from, arguments.seeds);
    let done = match (arguments.postgres, arguments.nodes, arguments.seed) {
        (false, false, Some(seed)) => one(Plan::of, seed),
        (false, false, None) => many(Plan::of, from, seeds.unwrap_or(1_000)),
        (false, true, Some(seed)) => one(NodesPlan::of, seed),
        (false, true, None) => many(NodesPlan::of, from, seeds.unwrap_or(100)),
        (true, _, Some(seed)) => one_of_nodes(seed),
        (true, _, None) => many_of_nodes(from, seeds.unwrap_or(12)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn one<P: Repeats + Serialize>(plan: fn(u64) -> P, seed: u64) -> anyhow::Result<()> {
    let course = plan(seed).run()?;
    course.trace.iter().for_each(say);
    match course.broken {
        None => Ok(()),
        Some(broken) => failed(&plan(seed), seed, &broken),
    }
}

fn many<P: Repeats + Serialize>(plan: fn(u64) -> P, from: u64, seeds: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    for seed in from..from + seeds {
        if let Some(broken) = plan(seed).run()?.broken {
            return failed(&plan(seed), seed, &broken);
        }
        let done = seed - from + 1;
        if done.is_multiple_of(1_000) || done == seeds {
            let seconds = began.elapsed().as_secs_f64();
            let rate = done as f64 / seconds;
            say(format!("{done} seeds in {seconds:.1} s ({rate:.0} a second): nothing broken"));
        }
    }
    Ok(())
}

fn server() -> anyhow::Result<String> {
    std::env::var("ABIDE_TEST_POSTGRES").context(
        "ABIDE_TEST_POSTGRES names no server: run this as `cargo xtask simulate --postgres`",
    )
}

fn one_of_nodes(seed: u64) -> anyhow::Result<()> {
    let course = run_nodes(&NodesPlan::of(seed), &server()?)?;
    course.trace.iter().for_each(say);
    let Some(broken) = course.broken else { return Ok(()) };
    bail!("seed {seed} breaks {}: {}", broken.invariant, broken.what)
}

fn many_of_nodes(from: u64, seeds: u64) -> anyhow::Result<()> {
    let (server, began) = (server()?, Instant::now());
    let end = from + seeds;
    let mut next = from;
    while next < end {
        let until = end.min(next + NODES_AT_ONCE);
        for (seed, course) in run_nodes_of(next..until, &server)? {
            let Some(broken) = course.broken else { continue };
            course.trace.iter().for_each(say);
            bail!(
                "seed {seed} breaks {}: {}; its schedule again: `cargo xtask simulate --postgres --seed {seed}`",
                broken.invariant,
                broken.what
            )
        }
        next = until;
        let seconds = began.elapsed().as_secs_f64();
        say(format!("{} seeds in {seconds:.1} s: nothing broken", next - from));
    }
    Ok(())
}

fn failed<P: Repeats + Serialize>(plan: &P, seed: u64, broken: &Broken) -> anyhow::Result<()> {
    say(format!("seed {seed} breaks {}: {}", broken.invariant, broken.what));
    say("making it small");
    let (mut small, broken) = shrink(plan, broken)?;
    small.run()?.trace.iter().for_each(say);
    let text = serde_json::to_string(&small)?;
    say(format!("{} of {} steps are left:", small.steps().len(), plan.clone().steps().len()));
    say(&text);
    say("kept as a file in simulation/reproductions/, it is run with every test");
    bail!("{}: {}; it is seed {seed}", broken.invariant, broken.what)
}

fn say(line: impl std::fmt::Display) {
    // A reader that closed the pipe is no failure.
    let _ = writeln!(std::io::stdout(), "{line}");
}
