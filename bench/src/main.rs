//! Measures Abide against the limits of the machine it runs on: `cargo xtask bench`.
//!
//! One run starts everything as processes of its own (sink, loader, the two-hop limit, `abide serve`), measures the
//! rows one after the other, round after round, and prints the medians. How to read them: `docs/performance.md`.

mod client;
mod control;
mod figures;
mod history;
mod http;
mod load;
mod postgres;
mod rows;
mod server;
mod signing;
mod sink;
mod store;
mod table;
mod two_hop;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::rows::{Full, Row, Sample, Stage, medians};

// As in `abide`: the two-hop limit must not lose by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Abide.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Part {
    /// The receiver
    #[command(hide = true)]
    Sink(sink::Options),
    /// The raw client
    #[command(hide = true)]
    Client(client::Options),
    /// The loader
    #[command(hide = true)]
    Load(load::Options),
    /// The limit: Abide's HTTP layers without Abide
    #[command(hide = true)]
    TwoHop(two_hop::Options),
}

#[derive(clap::Args)]
struct Run {
    /// Only this row, or a list of them: floor, raw, two-hop, two-hop-5, known, new-10, new, fan-out-5, batch, tls,
    /// slow-disk, full, pg-known, pg-full, two-hop-delay, delay, all-healthy, half-hang, restart, retention,
    /// pg-retention, pg-two-nodes, takeover
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = row)]
    only: Vec<Row>,
    /// Rounds; each begins with fresh processes and folders
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that each rate is measured in a round, one at a time, in turns with the others
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Where data folders are made, on the disk to be measured [default: the folder of temporary files]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// PostgreSQL server of the rows that need one, as postgres://USER:PASSWORD@HOST:PORT; `cargo xtask bench` starts one
    #[arg(long, value_name = "URL", env = "ABIDE_TEST_POSTGRES", hide_env_values = true)]
    postgres: Option<String>,
    /// The program to measure [default: `abide` beside this one]
    #[arg(long, value_name = "FILE")]
    abide: Option<PathBuf>,
}

fn row(name: &str) -> Result<Row, String> {
    Row::ALL.into_iter().find(|row| row.name() == name).ok_or_else(|| {
        let names: Vec<_> = Row::ALL.iter().map(|row| row.name()).collect();
        format!("rows are {}", names.join(", "))
    })
}

fn main() -> anyhow::Result<()> {
    let Arguments { part, run } = Arguments::parse();
    // The limit gets a runtime like `abide`'s; sink, loader and raw client stay cheap.
    let single = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match part {
        Some(Part::Sink(options)) => single()?.block_on(sink::run(options)),
        Some(Part::Client(options)) => single()?.block_on(client::run(options)),
        Some(Part::Load(options)) => single()?.block_on(load::run(options)),
        Some(Part::TwoHop(options)) => abide_server::runtime()?.block_on(two_hop::run(options)),
        None => measure(&run),
    }
}

fn measure(run: &Run) -> anyhow::Result<()> {
    let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("abide"));
    let stage = Stage {
        binary: run.abide.clone().map_or_else(beside, Ok)?,
        folder: run.folder.clone().unwrap_or_else(std::env::temp_dir),
        postgres: run.postgres.clone(),
        window: Duration::from_secs(run.seconds),
        full: Full::default(),
    };
    let rows = if run.only.is_empty() { Row::ALL.to_vec() } else { run.only.clone() };
    let mut samples: BTreeMap<Row, Vec<_>> = BTreeMap::new();
    let mut progress = std::io::stderr();
    for round in 1..=run.rounds {
        let mut keep = |row: Row, sample: Sample| {
            let _ = writeln!(progress, "round {round}: {} {sample:.2?}", row.name());
            samples.entry(row).or_default().push(sample);
        };
        rows::in_turns(&rows, &stage, &mut keep)?;
        for row in &rows {
            let sample = row.measure(&stage).with_context(|| format!("row {}", row.name()))?;
            if let Some(sample) = sample {
                keep(*row, sample);
            }
        }
    }
    let results = samples.iter().map(|(row, samples)| (*row, medians(samples))).collect();
    write!(std::io::stdout(), "{}", table::report(&results))?;
    Ok(())
}
