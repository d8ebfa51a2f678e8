//! `cargo xtask simulate`: runs seeds, and makes what they find small.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use abide_simulation::{Plan, run, shrink};
use anyhow::bail;
use clap::Parser;

/// Runs the simulation on many seeds.
#[derive(Parser)]
#[command(name = "cargo xtask simulate")]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone, and show what happens in it.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
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
    let done = match arguments.seed {
        Some(seed) => one(seed),
        None => many(arguments.from, arguments.seeds),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn one(seed: u64) -> anyhow::Result<()> {
    let course = run(&Plan::of(seed))?;
    course.trace.iter().for_each(say);
    match course.broken {
        None => Ok(()),
        Some(broken) => failed(seed, &broken),
    }
}

fn many(from: u64, seeds: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    for seed in from..from + seeds {
        if let Some(broken) = run(&Plan::of(seed))?.broken {
            return failed(seed, &broken);
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

fn failed(seed: u64, broken: &abide_simulation::Broken) -> anyhow::Result<()> {
    say(format!("seed {seed} breaks {}: {}", broken.invariant, broken.what));
    say("making it small");
    let plan = Plan::of(seed);
    let (small, broken) = shrink(&plan, broken)?;
    run(&small)?.trace.iter().for_each(say);
    let text = serde_json::to_string(&small)?;
    say(format!("{} of {} steps are left:", small.steps.len(), plan.steps.len()));
    say(&text);
    say("kept as a file in simulation/reproductions/, it is run with every test");
    bail!(
        "{}: {}; run it again with `cargo xtask simulate --seed {seed}`",
        broken.invariant,
        broken.what
    )
}

fn say(line: impl std::fmt::Display) {
    // A reader that closed the pipe is no failure.
    let _ = writeln!(std::io::stdout(), "{line}");
}
